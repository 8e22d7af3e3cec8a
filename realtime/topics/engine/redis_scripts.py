"""The Lua scripts of the histories in Redis. Each is one call and runs on the server without interruption.

Keys: `store` (hash: epoch, run, evicted, uptime_s) and `begun` (bits) are shared by all topics. Each topic has
`meta` (hash: epoch, run, top, ttl_ms, bytes), `stream` (entries `<offset>-<bytes of data>` with ms and body), and
one `used` for each idempotency key.

An epoch ends when the server's memory is lost: its keys are gone, or its process has changed (`run`). The new
process may have loaded an older state, and would give the same offsets again.

A topic takes the store's epoch at its first publication, which sets its bits in `begun`, a Bloom filter. A topic
without a meta whose bits are set may have been forgotten: it begins again under an epoch of its own, and no
position of it is complete until then. The store has a new epoch, and an empty filter, if its process has changed
or the server has evicted any key (`evicted`). Both keys are read only for topics that have no meta. Nothing has
been forgotten, and the filter is not read, before the store is as old as a meta lives.
"""

_BEGIN = """
local fresh_epoch, filter_bits, position_ttl_s = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local info = redis.call('INFO', 'server')
-- A plain search: a pattern would cost a microsecond more, at every call.
local _, before_run = string.find(info, 'run_id:', 1, true)
local run = string.sub(info, before_run + 1, before_run + 40)
local store, begun = KEYS[1], KEYS[2]
local store_epoch, store_age_s
local function begin_store()
  if not store_epoch then
    local evicted = string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)')
    local uptime_s = tonumber(string.match(info, 'uptime_in_seconds:(%d+)'))
    local known = redis.call('HMGET', store, 'epoch', 'run', 'evicted', 'uptime_s')
    store_epoch, store_age_s = known[1], uptime_s - tonumber(known[4] or 0)
    if not store_epoch or known[2] ~= run or known[3] ~= evicted then
      store_epoch, store_age_s = fresh_epoch, 0
      redis.call('HSET', store, 'epoch', store_epoch, 'run', run, 'evicted', evicted, 'uptime_s', uptime_s)
      redis.call('DEL', begun)
    end
  end
end
local function epoch_for_tenant(epoch, meta)
  -- As the topic's tenant sees it: a position is worth nothing on another.
  return string.sub(redis.sha1hex(epoch .. string.match(meta, '{(.-):')), 1, 16)
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
local function may_be_forgotten(meta)
  -- Two seconds: both uptimes are whole seconds.
  if store_age_s + 2 < position_ttl_s then
    return false
  end
  local set = bits('BITFIELD_RO', 'GET', meta)
  return set[1] + set[2] + set[3] == 3
end
-- A topic that does not exist: its epoch, and whether it may have been forgotten.
local function beginning(meta)
  begin_store()
  if may_be_forgotten(meta) then
    return epoch_for_tenant(store_epoch .. 'forgotten', meta), true
  end
  return epoch_for_tenant(store_epoch, meta), false
end
-- Epoch, top, the time that publications live, bytes, and whether the topic may have been forgotten.
local function where(meta)
  local known = redis.call('HMGET', meta, 'epoch', 'run', 'top', 'ttl_ms', 'bytes')
  if known[1] and known[2] == run then
    return known[1], tonumber(known[3]), tonumber(known[4]), tonumber(known[5] or 0), false
  end
  local epoch, is_forgotten = beginning(meta)
  return epoch, 0, 0, 0, is_forgotten
end
local called_ms
local function now_ms()
  if not called_ms then
    local time = redis.call('TIME')
    called_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return called_ms
end
local function offset_of(entry)
  return tonumber(string.match(entry[1], '^%d+'))
end
local function data_bytes_of(entry)
  return tonumber(string.match(entry[1], '%d+$'))
end
"""

ADD = (
    _BEGIN
    + """
local size, ttl_ms, max_bytes = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local overhead_bytes, data_bytes = tonumber(ARGV[7]), tonumber(ARGV[8])
local body, print, print_ttl_ms = ARGV[9], ARGV[10], ARGV[11]
local meta, stream, used = KEYS[3], KEYS[4], KEYS[5]
if used then
  local before = redis.call('HMGET', used, 'print', 'epoch', 'offset')
  if before[1] then
    return {before[1] == print and 'repeated' or 'conflict', before[2], tonumber(before[3])}
  end
end
local epoch, top, _, bytes, is_forgotten = where(meta)
if top == 0 then
  if is_forgotten then
    epoch = epoch_for_tenant(fresh_epoch, meta)
  end
  bits('BITFIELD', 'SET', meta, 1)
  redis.call('DEL', meta, stream)
  redis.call('HSET', meta, 'epoch', epoch, 'run', run)
end
top = top + 1
if size > 0 and ttl_ms > 0 then
  redis.call('XADD', stream, top .. '-' .. data_bytes, 'ms', now_ms(), 'body', body)
  redis.call('PEXPIRE', stream, ttl_ms)
  local length = redis.call('XLEN', stream)
  -- The stream may have ended by its time, with all that was counted.
  bytes = (length == 1 and 0 or bytes) + data_bytes + overhead_bytes
  while length > size or (max_bytes > 0 and bytes > max_bytes and length > 0) do
    local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    redis.call('XDEL', stream, oldest[1])
    bytes = bytes - data_bytes_of(oldest) - overhead_bytes
    length = length - 1
  end
else
  redis.call('DEL', stream)
  bytes = 0
end
redis.call('HSET', meta, 'top', top, 'ttl_ms', ttl_ms, 'bytes', bytes)
redis.call('EXPIRE', meta, position_ttl_s)
if used then
  redis.call('HSET', used, 'print', print, 'epoch', epoch, 'offset', top)
  redis.call('PEXPIRE', used, print_ttl_ms)
end
return {'added', epoch, top}
"""
)

# Reading a topic's position counts as use: its expiry is extended even if nobody publishes to it.
POSITIONS = (
    _BEGIN
    + """
local positions = {}
if #KEYS == 2 then
  begin_store()
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
  local epoch, top, ttl_ms, _, is_forgotten = where(meta)
  if is_forgotten and limit ~= -1 then
    return {epoch, top, false}
  end
  if limit == -1 or (asked_epoch == epoch and offset == top) then
    return {epoch, top, {}}
  end
  if asked_epoch ~= epoch or offset < 0 or offset > top then
    return {epoch, top, false}
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
local epoch, top = where(meta)
local left_ms = redis.call('PTTL', stream)
if epoch ~= asked_epoch or top == 0 or left_ms <= 0 then
  return 0
end
local new = {}
for at = 6, #ARGV, 3 do
  new[tonumber(ARGV[at])] = {ARGV[at + 1], ARGV[at + 2]}
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
