"""Lua scripts that the server runs atomically: leases, and changes checked by their fence.

Everything about a key is in one hash, so that it needs one expiry and one cluster slot:

    token     the token record, if a token is stored
    fence     the fence of the last lease
    changed   the fence of the last save or delete
    owner     the owner of the lease, if it is held
    until     the expiry of the lease by the server's clock, in milliseconds

A new fence is the server's time in milliseconds, or the last fence plus one if that is greater.
Fences therefore increase even if the server loses the key or all of its data.
"""

from __future__ import annotations

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
"""

# Only extend the expiry: the token may have a longer one.
_OUTLAST = """
local function outlast(milliseconds)
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 and left < milliseconds then
    redis.call('PEXPIRE', KEYS[1], text(milliseconds))
  end
end
"""

#: Owner, lease duration, time to remember the key after it -> fence, or nil if the lease is held.
ACQUIRE = f"""{_NOW}{_OUTLAST}
local held = redis.call('HMGET', KEYS[1], 'owner', 'until', 'fence')
if held[1] and held[1] ~= ARGV[1] and tonumber(held[2]) > now then return false end
local new = redis.call('EXISTS', KEYS[1]) == 0
local fence = math.max(now, (tonumber(held[3]) or 0) + 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', text(now + ARGV[2]), 'fence', text(fence))
if new then redis.call('PEXPIRE', KEYS[1], text(ARGV[2] + ARGV[3])) end
outlast(ARGV[2] + ARGV[3])
return text(fence)
"""

#: The same arguments -> 1, or 0 if another owner holds the lease.
EXTEND = f"""{_NOW}{_OUTLAST}
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'until', text(now + ARGV[2]))
outlast(ARGV[2] + ARGV[3])
return 1
"""

#: Owner -> the number of fields removed.
RELEASE = """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], 'owner', 'until')
"""

#: Fence, time that a fence is remembered, time until the key expires or -1, and the record (omitted
#: to delete it) -> 1, or 0 if a later holder has saved or deleted.
CHANGE = f"""{_NOW}
local fence = tonumber(ARGV[1])
if fence > 0 then
  local known = redis.call('HMGET', KEYS[1], 'changed', 'fence')
  if known[1] then
    if tonumber(known[1]) > fence then return 0 end
  elseif tonumber(known[2] or 0) ~= fence and fence < now - ARGV[2] then
    return 0
  end
  redis.call('HSET', KEYS[1], 'changed', text(fence))
  if tonumber(known[2] or 0) < fence then redis.call('HSET', KEYS[1], 'fence', text(fence)) end
end
if ARGV[4] then
  redis.call('HSET', KEYS[1], 'token', ARGV[4])
else
  redis.call('HDEL', KEYS[1], 'token')
end
if tonumber(ARGV[3]) < 0 then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
"""
