"""The Lua scripts of the histories in Redis. Each is one call and runs on the server without interruption.

Keys: `store` (hash) and `begun` (bits) are shared by all topics of a partition; a broker that is no cluster has one
partition. Each topic has `meta` (hash: epoch, line, top, ttl_ms, bytes, forks), `stream` (entries `<offset>-<bytes of
data>` with ms and body), and one `used` for each idempotency key.

A server's *line* is its `master_replid`: no two servers write under one, and it changes with every promotion and
every start of a process. (`run_id` would not do: a primary that is replaced, and is made primary again, keeps it.)
The first publication on another line begins a new epoch of its topic and goes on with the next offset. `forks` says
where each epoch before ended ("epoch:end epoch:end "). A position is good if its epoch is the current one or is among
the forks, and its offset is not beyond that end. Publications that only a lost primary acknowledged are beyond it.

The store has an epoch too, for topics that do not exist: a topic takes it at its first publication, and its bits in
`begun`, a Bloom filter, are set. On another line the first topic that begins gives the store a new epoch; those before
are `past`, and end at offset 0 for topics that had not begun. If keys were evicted, or may have been before the line
changed, the store begins anew: past and filter are forgotten.

A topic without a meta whose bits are set may have been forgotten: it begins again under an epoch of its own, and no
position of it is complete until then. While it waits, its epoch is made of `root`, the store's first epoch, and of how
often topics of its bucket have begun again (`again:<bucket>`). Nothing has been forgotten, and the filter is not read,
before the store is as old as a meta lives.
"""

from realtime.core.history import ENTRY_OVERHEAD_BYTES

# How many epochs of a topic, and of the store, are remembered. Older positions are answered as lost.
FORKS_MAX, PAST_MAX = 32, 8

# A call makes the functions of its script anew. So what few publications need stands where it is needed: with all
# functions of `_BEGIN` made first, a publication takes 15 % more of the server's instructions.
_LINE = """
local function field(section, name)
  -- A plain search: a pattern would cost a microsecond more.
  local info = redis.call('INFO', section)
  local _, before = string.find(info, name .. ':', 1, true)
  return string.sub(info, before + 1, string.find(info, '\\r', before, true) - 1)
end
local line_here
local function line()
  line_here = line_here or field('replication', 'master_replid')
  return line_here
end
"""

_STORE = (
    f"local FORKS_MAX, PAST_MAX = {FORKS_MAX}, {PAST_MAX}"
    + """
local fresh_epoch, filter_bits, position_ttl_s = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local store, begun = KEYS[1], KEYS[2]
local function evicts()
  local is_bounded = field('memory', 'maxmemory') ~= '0'
  return (is_bounded and field('memory', 'maxmemory_policy') ~= 'noeviction') and '1' or '0'
end
-- `list` without its oldest words, so that at most `count` are left.
local function newest(list, count)
  local _, words = string.gsub(list, ' ', '')
  for _ = count + 1, words do
    list = string.sub(list, string.find(list, ' ', 1, true) + 1)
  end
  return list
end
local store_epoch, store_root, store_past, store_is_old
local function begin_store(is_writing)
  if store_epoch and not is_writing then
    return
  end
  local evicted = field('stats', 'evicted_keys')
  local uptime_s = tonumber(field('server', 'uptime_in_seconds'))
  local known = redis.call('HMGET', store, 'epoch', 'line', 'evicted', 'uptime_s', 'root', 'past', 'evicts')
  store_epoch, store_root, store_past = known[1], known[5], known[6] or ''
  local is_same = known[2] == line()
  if not store_epoch or (is_same and known[3] ~= evicted)
    or (not is_same and (known[7] ~= '0' or evicts() ~= '0')) then
    store_epoch, store_root, store_past, store_is_old = fresh_epoch, fresh_epoch, '', false
    redis.call('DEL', store, begun)
    redis.call('HSET', store, 'epoch', store_epoch, 'root', store_root, 'past', '', 'line', line(),
      'evicted', evicted, 'uptime_s', uptime_s, 'evicts', evicts())
  elseif is_same then
    -- Two seconds: both uptimes are whole seconds.
    store_is_old = uptime_s - tonumber(known[4]) + 2 >= position_ttl_s
  else
    -- How old it is cannot be said: the uptime is another server's.
    store_is_old = true
    if is_writing then
      store_past = newest(store_past .. store_epoch .. ' ', PAST_MAX)
      store_epoch = fresh_epoch
      redis.call('HSET', store, 'epoch', store_epoch, 'past', store_past, 'line', line(),
        'evicted', evicted, 'uptime_s', uptime_s - position_ttl_s)
    end
  end
end
local function epoch_for_tenant(epoch, meta)
  -- As the topic's tenant sees it: a position is worth nothing on another.
  return string.sub(redis.sha1hex(epoch .. string.match(meta, '}:(.-):')), 1, 16)
end
-- A command about three bits of the filter for this topic.
local function bits(command, operation, meta, ...)
  local digest = redis.sha1hex(meta)
  local call = {command, begun}
  for at = 1, 21, 10 do
    local bit = tonumber(string.sub(digest, at, at + 9), 16) % filter_bits
    for _, word in ipairs({operation, 'u1', bit, ...}) do
      call[#call + 1] = word
    end
  end
  return redis.call(unpack(call))
end
local function again(meta)
  return 'again:' .. string.sub(redis.sha1hex(meta), -3)
end
local function may_be_forgotten(meta)
  if not store_is_old then
    return false
  end
  local set = bits('BITFIELD_RO', 'GET', meta)
  return set[1] + set[2] + set[3] == 3
end
-- A topic that does not exist: its epoch, its forks, and whether it may have been forgotten.
local function beginning(meta, is_writing)
  begin_store(is_writing)
  if may_be_forgotten(meta) then
    if is_writing then
      redis.call('HINCRBY', store, again(meta), 1)
      return epoch_for_tenant(fresh_epoch .. 'again', meta), '', true
    end
    local count = redis.call('HGET', store, again(meta)) or '0'
    return epoch_for_tenant(store_root .. 'forgotten' .. count, meta), '', true
  end
  local forks = ''
  for epoch in string.gmatch(store_past, '%S+') do
    forks = forks .. epoch_for_tenant(epoch, meta) .. ':0 '
  end
  return epoch_for_tenant(store_epoch, meta), forks, false
end
"""
)

_ENTRIES = """
local function offset_of(entry)
  return tonumber(string.match(entry[1], '^%d+'))
end
local function data_bytes_of(entry)
  return tonumber(string.match(entry[1], '%d+$'))
end
"""

_BEGIN = (
    _LINE
    + _STORE
    + _ENTRIES
    + """
-- Epoch, top, the time that publications live, forks, and whether the topic may have been forgotten.
local function where(meta)
  local known = redis.call('HMGET', meta, 'epoch', 'top', 'ttl_ms', 'forks')
  if known[1] then
    return known[1], tonumber(known[2]), tonumber(known[3]), known[4] or '', false
  end
  local epoch, forks, is_forgotten = beginning(meta, false)
  return epoch, 0, 0, forks, is_forgotten
end
local function is_good(asked_epoch, offset, epoch, top, forks)
  if offset < 0 or offset > top then
    return false
  elseif asked_epoch == epoch then
    return true
  elseif not string.find(asked_epoch, '^%x+$') then
    return false
  end
  local ended = string.match(' ' .. forks, ' ' .. asked_epoch .. ':(%d+) ')
  return ended ~= nil and offset <= tonumber(ended)
end
local called_ms
local function now_ms()
  if not called_ms then
    local time = redis.call('TIME')
    called_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return called_ms
end
"""
)

# Texts stay texts as far as possible: Lua and the server convert each number with a general routine for fractions.
# ARGV[7] is '1' if `size` publications like this one are within `max_bytes`.
#
# `bytes` of the hash counts what the stream holds. It is "within:<size>:<bound>" as long as every publication was so
# small that `size` of them cannot exceed the bound: then nothing has to be counted, and Redis drops the oldest by itself.
ADD = (
    _LINE
    + """
local size, ttl_ms, max_bytes, is_small, data_bytes = ARGV[4], ARGV[5], ARGV[6], ARGV[7] == '1', ARGV[8]
local body, channel, sender = ARGV[9], ARGV[10], ARGV[11]
local meta, stream, used = KEYS[3], KEYS[4], KEYS[5]
if used then
  local before = redis.call('HMGET', used, 'print', 'epoch', 'offset')
  if before[1] then
    return (before[1] == ARGV[12] and 'repeated ' or 'conflict ') .. before[2] .. ' ' .. before[3]
  end
end
local known = redis.call('HMGET', meta, 'epoch', 'line', 'top', 'bytes')
local epoch, top, bytes = known[1], known[3], known[4]
local within = 'within:' .. size .. ':' .. max_bytes
if not epoch or known[2] ~= line() then
"""
    + _STORE
    + """
  local forks
  if not epoch then
    epoch, forks = beginning(meta, true)
    top, bytes = 0, within
    bits('BITFIELD', 'SET', meta, 1)
    redis.call('DEL', meta, stream)
  else
    forks = redis.call('HMGET', meta, 'forks')[1] or ''
    forks = newest(forks .. epoch .. ':' .. top .. ' ', FORKS_MAX)
    epoch = epoch_for_tenant(fresh_epoch, meta)
  end
  redis.call('HSET', meta, 'epoch', epoch, 'line', line(), 'forks', forks)
end
top = string.format('%d', top + 1)
if size == '0' or ttl_ms == '0' then
  redis.call('DEL', stream)
  bytes = within
else
  local time = redis.call('TIME')
  local ms = string.format('%d%03d', time[1], time[2] / 1000)
  local id = top .. '-' .. data_bytes
  if is_small and (max_bytes == '0' or bytes == within) then
    redis.call('XADD', stream, 'MAXLEN', size, id, 'ms', ms, 'body', body)
    bytes = within
  else
"""
    + f"local OVERHEAD_BYTES = {ENTRY_OVERHEAD_BYTES}"
    + _ENTRIES
    + """
    size, max_bytes = tonumber(size), tonumber(max_bytes)
    local held = tonumber(bytes)
    if not held then
      held = 0
      for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+')) do
        held = held + data_bytes_of(entry) + OVERHEAD_BYTES
      end
    end
    redis.call('XADD', stream, id, 'ms', ms, 'body', body)
    local length = redis.call('XLEN', stream)
    -- The stream may have ended by its time, with all that was counted.
    held = (length == 1 and 0 or held) + data_bytes + OVERHEAD_BYTES
    while length > size or (held > max_bytes and length > 0) do
      local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
      redis.call('XDEL', stream, oldest[1])
      held = held - data_bytes_of(oldest) - OVERHEAD_BYTES
      length = length - 1
    end
    bytes = (length == 0 or (length == 1 and is_small)) and within or held
  end
  redis.call('PEXPIRE', stream, ttl_ms)
end
redis.call('HSET', meta, 'top', top, 'ttl_ms', ttl_ms, 'bytes', bytes)
redis.call('EXPIRE', meta, ARGV[3])
if used then
  redis.call('HSET', used, 'print', ARGV[12], 'epoch', epoch, 'offset', top)
  redis.call('PEXPIRE', used, ARGV[13])
end
local position = epoch .. ' ' .. top
-- Last: what other nodes are told is stored.
redis.call('SPUBLISH', channel, sender .. position .. ' ' .. body)
return 'added ' .. position
"""
)

# Reading a topic's position counts as use: its expiry is extended even if nobody publishes to it.
POSITIONS = (
    _BEGIN
    + """
local positions = {}
if #KEYS == 2 then
  begin_store(false)
end
for at = 3, #KEYS do
  local epoch, top = where(KEYS[at])
  positions[#positions + 1] = epoch
  positions[#positions + 1] = top
  if top > 0 and redis.call('TTL', KEYS[at]) < position_ttl_s / 2 then
    redis.call('EXPIRE', KEYS[at], position_ttl_s)
  end
end
return positions
"""
)

# Entries are read from the stream in portions, so that entries beyond the limits are not read.
_READ = (
    _BEGIN
    + """
local PORTION = 16
local function reader(limit, max_bytes, ttl_ms)
  local entries, bytes, oldest_ms = {}, 0, now_ms() - ttl_ms
  local function is_live(entry)
    return (tonumber(entry[2][2]) or 0) > oldest_ms
  end
  local function take(portion)
    for _, entry in ipairs(portion) do
      bytes = bytes + data_bytes_of(entry)
      if #entries > 0 and (#entries >= limit or (max_bytes > 0 and bytes > max_bytes)) then
        return false
      end
      if not is_live(entry) then
        return false
      end
      entries[#entries + 1] = entry
    end
    return #portion == PORTION
  end
  return entries, take, is_live
end
"""
)

# For each page, KEYS holds meta and stream, and ARGV holds limit (-1: position
# only), max_bytes, epoch and offset.
PAGES = (
    _READ
    + """
local function page(meta, stream, limit, max_bytes, asked_epoch, offset)
  local epoch, top, ttl_ms, forks, is_forgotten = where(meta)
  if limit == -1 then
    return {epoch, top, {}}
  end
  if is_forgotten or not is_good(asked_epoch, offset, epoch, top, forks) then
    return {epoch, top, false}
  end
  if offset == top then
    return {epoch, top, {}}
  end
  local entries, take, is_live = reader(limit, max_bytes, ttl_ms)
  local function portion_from(first)
    return redis.call('XRANGE', stream, first .. '-0', '+', 'COUNT', PORTION)
  end
  local portion = portion_from(offset + 1)
  if #portion == 0 or offset_of(portion[1]) ~= offset + 1 or not is_live(portion[1]) then
    return {epoch, top, false}
  end
  while take(portion) do
    portion = portion_from(offset_of(entries[#entries]) + 1)
  end
  return {epoch, top, entries}
end
local pages = {}
for at = 3, #KEYS, 2 do
  local first = 4 + (at - 3) * 2
  pages[#pages + 1] = page(KEYS[at], KEYS[at + 1], tonumber(ARGV[first]), tonumber(ARGV[first + 1]),
    ARGV[first + 2], tonumber(ARGV[first + 3]))
end
return pages
"""
)

LATEST = (
    _READ
    + """
local meta, stream = KEYS[3], KEYS[4]
local epoch, top, ttl_ms = where(meta)
local entries, take = reader(tonumber(ARGV[4]), tonumber(ARGV[5]), ttl_ms)
local finish = '+'
while top > 0 and take(redis.call('XREVRANGE', stream, finish, '-', 'COUNT', PORTION)) do
  finish = '(' .. entries[#entries][1]
end
return {epoch, top, entries}
"""
)

# An entry of a stream cannot be changed, so the stream is written again. For each entry to be replaced, ARGV
# holds its offset, the bytes of its data, and its body.
REWRITE = (
    _BEGIN
    + """
local asked_epoch, overhead_bytes = ARGV[4], tonumber(ARGV[5])
local meta, stream = KEYS[3], KEYS[4]
local epoch, top, _, forks = where(meta)
local left_ms = redis.call('PTTL', stream)
if top == 0 or left_ms <= 0 then
  return 0
end
local new = {}
for at = 6, #ARGV, 3 do
  local offset = tonumber(ARGV[at])
  if is_good(asked_epoch, offset, epoch, top, forks) then
    new[offset] = {ARGV[at + 1], ARGV[at + 2]}
  end
end
local entries, bytes = redis.call('XRANGE', stream, '-', '+'), 0
redis.call('DEL', stream)
for _, entry in ipairs(entries) do
  local offset, fields = offset_of(entry), entry[2]
  local other = new[offset]
  local data_bytes = other and tonumber(other[1]) or data_bytes_of(entry)
  redis.call('XADD', stream, offset .. '-' .. data_bytes, 'ms', fields[2], 'body', other and other[2] or fields[4])
  bytes = bytes + data_bytes + overhead_bytes
end
redis.call('PEXPIRE', stream, left_ms)
redis.call('HSET', meta, 'bytes', bytes)
return #entries
"""
)
