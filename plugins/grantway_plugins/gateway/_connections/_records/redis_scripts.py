"""Lua scripts of the records, which the server runs atomically.

All keys begin with ``KEYS[1]``, which contains a hash tag: in a cluster, they are on one server.

    :c:USER PROVIDER   a connection: version, state and due_at on a line each, and the rest as JSON
    :ids               identifiers of all connections, in their order
    :due               identifiers of working connections by the time at which they are due
    :counts            number of connections by state and provider
    :j:ID              a job: its attempts on a line, and its payload
    :jobs              identifiers of jobs by the time at which they are due
    :v:DIGEST          a short-lived value: its expiry on a line, and the value
    :expiring          digests of the values' keys by their expiry
    :e:USER            events of a user by their time, each with its identifier on a line
    :audited           users by the time of their first event

Times are passed on as text, because Lua would round them. A script is sent again after a lost
response, and then has the same effect as once, apart from what it returns. Entries of an index
without their key are ignored: a server without enough memory may have evicted the key. An entry
that cannot be read stops no script: claims skip it until they end, and changes replace it.
"""

from __future__ import annotations

_KEYS = """
local base, arg = KEYS[1], ARGV
local function call(command, key, ...) return redis.call(command, base .. key, ...) end
local function read(key)
  local found = redis.pcall('GET', base .. key)
  if type(found) == 'table' then return '' end -- it has another type
  return found
end
"""

# The number of events and three words of each, the number of jobs and three words of each.
_RECORD = """
local function record(place)
  for _ = 1, tonumber(arg[place]) do
    call('ZADD', ':e:' .. arg[place + 1], arg[place + 2], arg[place + 3])
    call('ZADD', ':audited', 'LT', arg[place + 2], arg[place + 1])
    place = place + 3
  end
  place = place + 1
  for _ = 1, tonumber(arg[place]) do
    call('SET', ':j:' .. arg[place + 1], arg[place + 3])
    call('ZADD', ':jobs', arg[place + 2], arg[place + 1])
    place = place + 3
  end
end
"""

# One text, because redis-py takes long to read many small ones on an event loop.
_REPLY = """
local function reply(found)
  if #found == 0 then return '' end
  return cjson.encode(found)
end
"""

_COUNT = """
local function count(record, id, number)
  local state = record:match('^%d+\\n(%a+)\\n') or 'connected'
  local field = state .. id:match(' .*$')
  if call('HINCRBY', ':counts', field, number) == 0 then call('HDEL', ':counts', field) end
end
"""

#: Identifier, replaced version or an empty text, new version, time in ``:due`` or an empty text,
#: the rest of the connection, events and jobs -> 1, or 0 if another version is saved. If the new
#: version is saved, the response to this script was lost, and its jobs may have been claimed. The
#: version of a connection that cannot be read is 0.
SAVE = f"""{_KEYS}{_RECORD}{_COUNT}
local id, replaced, version, due, rest = arg[1], arg[2], arg[3], arg[4], arg[5]
local old = read(':c:' .. id)
local saved = old and (old:match('^(%d+)\\n') or '0')
if saved == version then return 1 end
if replaced ~= '' and saved ~= replaced then return 0 end
local new = version .. '\\n' .. rest
call('SET', ':c:' .. id, new)
if old then count(old, id, -1) else call('ZADD', ':ids', 0, id) end
count(new, id, 1)
if due == '' then call('ZREM', ':due', id) else call('ZADD', ':due', due, id) end
record(6)
return 1
"""

#: Identifier, events and jobs -> 1, or 0 if there is no such connection.
REMOVE = f"""{_KEYS}{_RECORD}{_COUNT}
local id = arg[1]
local old = read(':c:' .. id)
if not old then return 0 end
call('DEL', ':c:' .. id)
call('ZREM', ':ids', id)
call('ZREM', ':due', id)
count(old, id, -1)
record(2)
return 1
"""

#: Events and jobs -> 1.
RECORD = f"""{_KEYS}{_RECORD}
record(1)
return 1
"""

#: Lowest and highest identifier as for ``ZRANGEBYLEX``, limit -> JSON list that alternates
#: identifiers and connections; an empty text if there are none.
LIST = f"""{_KEYS}{_REPLY}
local found = {{}}
for _, id in ipairs(call('ZRANGEBYLEX', ':ids', arg[1], arg[2], 'LIMIT', 0, arg[3])) do
  local record = read(':c:' .. id)
  if record then
    found[#found + 1] = id
    found[#found + 1] = record
  end
end
return reply(found)
"""


def _claim(entries: str, index: str, renewed: str) -> str:
    """Return a script that claims the entries that are due first.

    Args:
        entries: Start of their keys.
        index: The index with their times.
        renewed: Lua statements that return the new text for ``old``, or nil if it is unreadable.
    """
    return f"""{_KEYS}{_REPLY}
local function renewed(old)
{renewed}
end
local found = {{}}
for _, id in ipairs(call('ZRANGEBYSCORE', '{index}', '-inf', arg[1], 'LIMIT', 0, arg[3])) do
  local old = read('{entries}' .. id)
  if old then
    local new = renewed(old)
    if new then call('SET', '{entries}' .. id, new) end
    call('ZADD', '{index}', arg[2], id)
    found[#found + 1] = id
    found[#found + 1] = new or ''
  else
    call('ZREM', '{index}', id)
  end
end
return reply(found)
"""


#: Time, time at which the claimed ones become due again, limit, new version -> the same. An
#: unreadable connection is an empty text.
CLAIM_DUE = _claim(
    ":c:",
    ":due",
    r"""  local state, rest = old:match('^%d+\n(%a+)\n[^\n]*\n(.*)$')
  return state and table.concat({arg[4], state, arg[2], rest}, '\n')""",
)

#: Time, time at which the claimed ones become due again, limit -> the same with jobs.
CLAIM_JOBS = _claim(
    ":j:",
    ":jobs",
    r"""  local attempts, payload = old:match('^(%d+)\n(.*)$')
  return attempts and string.format('%d', attempts + 1) .. '\n' .. payload""",
)

#: Identifier of a job -> 1.
FINISH = f"""{_KEYS}
call('DEL', ':j:' .. arg[1])
call('ZREM', ':jobs', arg[1])
return 1
"""

#: Digest of a key, expiry, value -> 1.
KEEP = f"""{_KEYS}
call('SET', ':v:' .. arg[1], arg[2] .. '\\n' .. arg[3])
call('ZADD', ':expiring', arg[2], arg[1])
return 1
"""

#: Digest of a key -> expiry and value, or nil.
TAKE = f"""{_KEYS}
local value = call('GET', ':v:' .. arg[1])
call('DEL', ':v:' .. arg[1])
call('ZREM', ':expiring', arg[1])
return value
"""

#: Time, limit -> number of expired values, which it has removed.
REMOVE_VALUES = f"""{_KEYS}
local digests = call('ZRANGEBYSCORE', ':expiring', '-inf', arg[1], 'LIMIT', 0, arg[2])
for _, digest in ipairs(digests) do
  call('DEL', ':v:' .. digest)
  call('ZREM', ':expiring', digest)
end
return #digests
"""

#: Time, limit -> number of users whose events before that time it has removed.
REMOVE_EVENTS = f"""{_KEYS}
local users = call('ZRANGEBYSCORE', ':audited', '-inf', '(' .. arg[1], 'LIMIT', 0, arg[2])
for _, user in ipairs(users) do
  call('ZREMRANGEBYSCORE', ':e:' .. user, '-inf', '(' .. arg[1])
  local first = call('ZRANGE', ':e:' .. user, 0, 0, 'WITHSCORES')
  if first[2] then
    call('ZADD', ':audited', first[2], user)
  else
    call('ZREM', ':audited', user)
  end
end
return #users
"""
