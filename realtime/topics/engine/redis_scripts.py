"""The Lua scripts of the histories in Redis. Each is one call and runs on the server without interruption.

Keys: `store` (hash: epoch, run, evicted) is shared by all topics. Each topic has `meta` (hash: epoch, run,
top, ttl_ms, bytes), `stream` (entries `<offset>-<bytes of data>` with ms and body), and one `used` for each
idempotency key.

An epoch ends when the server's memory is lost: its keys are gone, or its process has changed (`run`). The new
process may have loaded an older state, and would give the same offsets again.

A topic takes the store's epoch at its first publication. When a topic is forgotten, the store must have a new
epoch before the topic begins again. So the store's key expires in a fixed time that is shorter than that of
any meta, and it is replaced if the server has evicted any key (`evicted`). It is therefore read only for
topics that have no meta.
"""

_BEGIN = """
local fresh_epoch, epoch_ttl_s, position_ttl_s = ARGV[1], ARGV[2], ARGV[3]
local info = redis.call('INFO', 'server')
-- A plain search: a pattern would cost a microsecond more, at every call.
local _, before_run = string.find(info, 'run_id:', 1, true)
local run = string.sub(info, before_run + 1, before_run + 40)
local store = KEYS[1]
local store_epoch
local function begin_store()
  if not store_epoch then
    local evicted = string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)')
    local known = redis.call('HMGET', store, 'epoch', 'run', 'evicted')
    store_epoch = known[1]
    if not store_epoch or known[2] ~= run or known[3] ~= evicted then
      store_epoch = fresh_epoch
      redis.call('HSET', store, 'epoch', store_epoch, 'run', run, 'evicted', evicted)
      redis.call('EXPIRE', store, epoch_ttl_s)
    end
  end
end
local function beginning(meta)
  begin_store()
  -- As the topic's tenant sees it: a position is worth nothing on another.
  return string.sub(redis.sha1hex(store_epoch .. string.match(meta, '{(.-):')), 1, 16)
end
local function where(meta)
  local known = redis.call('HMGET', meta, 'epoch', 'run', 'top', 'ttl_ms', 'bytes')
  if known[1] and known[2] == run then
    return known[1], tonumber(known[3]), tonumber(known[4]), tonumber(known[5] or 0)
  end
  return beginning(meta), 0, 0, 0
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
local meta, stream, used = KEYS[2], KEYS[3], KEYS[4]
if used then
  local before = redis.call('HMGET', used, 'print', 'epoch', 'offset')
  if before[1] then
    return {before[1] == print and 'repeated' or 'conflict', before[2], tonumber(before[3])}
  end
end
local epoch, top, _, bytes = where(meta)
if top == 0 then
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
if #KEYS == 1 then
  begin_store()
end
for at = 2, #KEYS do
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
  local epoch, top, ttl_ms = where(meta)
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
for at = 2, #KEYS, 2 do
  local first = 4 + (at - 2) * 2
  pages[#pages + 1] = page(KEYS[at], KEYS[at + 1], tonumber(ARGV[first]), tonumber(ARGV[first + 1]),
    ARGV[first + 2], tonumber(ARGV[first + 3]))
end
return pages
"""
)

LATEST = (
    _READ
    + """
local meta, stream = KEYS[2], KEYS[3]
local epoch, top, ttl_ms = where(meta)
local entries, take = reader(tonumber(ARGV[4]), tonumber(ARGV[5]), ttl_ms)
local finish = '+'
while top > 0 and take(redis.call('XREVRANGE', stream, finish, '-', 'COUNT', PORTION)) do
  finish = '(' .. entries[#entries][1]
end
return {epoch, top, entries}
"""
)
