-- A budget of distinct keys in a sliding window, shared by the queues of a partition that name it.
--
-- A key counts from its start until a window after its *last* start. Who counts is a sorted set by last start; the
-- budget's record is { most, window, jobs let go, { queues with parked jobs }, its place among budgets }.

local MOST, WINDOW, LET_GO, PARKED_IN, PLACE = 1, 2, 3, 4, 5

local function budget_of(name, r)
  return { name = name, r = r, key = K.spent .. name, changed = false }
end

-- The budget of a name, or false.
function budgets.get(name)
  if B[name] == nil then
    local record = run('HGET', K.budget, name)
    B[name] = record and budget_of(name, unpack_msg(record)) or false
  end
  return B[name]
end

-- All budgets.
function budgets.all()
  local fields, all = run('HGETALL', K.budget), {}
  for i = 1, #fields, 2 do
    if B[fields[i]] == nil then B[fields[i]] = budget_of(fields[i], unpack_msg(fields[i + 1])) end
  end
  for _, b in pairs(B) do
    if b then all[#all + 1] = b end
  end
  sort(all, function(a, b) return a.r[PLACE] < b.r[PLACE] end)
  return all
end

-- The budget that a queue spends, or false.
function budgets.of_queue(q)
  local limit = q.limits.budget
  return limit and budgets.get(limit[1])
end

function budgets.configure(limit)
  local b = budgets.get(limit[1])
  if b then
    b.r[MOST], b.r[WINDOW] = limit[2], limit[3]
  else
    b = budget_of(limit[1], { limit[2], limit[3], 0, {}, #budgets.all() })
    B[limit[1]] = b
  end
  b.changed = true
end

-- Starts before count no more. The margin is the one that windows keep as well.
local function limit_of(b)
  return now - b.r[WINDOW] - floor(b.r[WINDOW] / 1000)
end

local function span_of(b)
  return b.r[WINDOW] + floor(b.r[WINDOW] / 1000)
end

function budgets.used(b)
  return run('ZCOUNT', b.key, '(' .. text_of(limit_of(b)), '+inf')
end

-- When a start of `key` is within the budget; now, where it is already. No key: when a place is free.
function budgets.free_at(b, key)
  local limit = limit_of(b)
  local last = key and run('ZSCORE', b.key, key)
  if last and tonumber(last) > limit then return now end
  local most = max(b.r[MOST], 1)
  if budgets.used(b) < most then return now end
  local nth = run('ZREVRANGE', b.key, most - 1, most - 1, 'WITHSCORES')
  return nth[2] and after(tonumber(nth[2]), span_of(b)) or now
end

-- When a place is free for the one who waits behind `ahead` others, if nobody gives one up or starts again.
function budgets.place_after(b, ahead)
  local most = max(b.r[MOST], 1)
  local rounds, at = floor(ahead / most), now
  local leave_first = max(budgets.used(b) + ahead % most + 1 - most, 0)
  if leave_first > 0 then
    local nth = run('ZRANGEBYSCORE', b.key, '(' .. text_of(limit_of(b)), '+inf', 'WITHSCORES', 'LIMIT',
      leave_first - 1, 1)
    if nth[2] then at = after(tonumber(nth[2]), span_of(b)) end
  end
  return after(at, span_of(b) * rounds)
end

-- Places that are free and that no job was let go for.
local function open_places(b)
  if budgets.free_at(b, false) > now then return 0 end
  return max(max(b.r[MOST] - budgets.used(b), 1) - b.r[LET_GO], 0)
end

-- Counts a start. The set is written at once: what is asked next must see it, and it is right whatever follows.
function budgets.record(b, key)
  run('ZREMRANGEBYSCORE', b.key, '-inf', text_of(limit_of(b)))
  run('ZADD', b.key, text_of(now), key)
end

-- A queue has parked jobs.
function budgets.waits(b, q)
  local waiting = b.r[PARKED_IN]
  for i = 1, #waiting do
    if waiting[i] == q.k then return end
  end
  waiting[#waiting + 1], b.changed = q.k, true
  meta[PARKED_QUEUES] = meta[PARKED_QUEUES] + 1
end

-- A key counts now: its jobs that wait for a place, in other queues, need none.
function budgets.let_key_go(b, key)
  local waiting = b.r[PARKED_IN]
  for i = 1, #waiting do
    local q = queues.of_key(waiting[i])
    local chain = q and chains.get(q, key)
    local first = chain and jobs.get(chain.first)
    if first and first.phase == PARKED then
      turns.leave(first)
      turns.enter_first(first, READY, now)
    end
  end
end

-- A lease has looked at all that was let go: what is free now is offered anew.
function budgets.offer_places()
  if meta[PARKED_QUEUES] == 0 and meta[LET_GO_JOBS] == 0 then return false end
  meta[LET_GO_JOBS] = 0
  local all = budgets.all()
  for i = 1, #all do
    if all[i].r[LET_GO] ~= 0 then all[i].r[LET_GO], all[i].changed = 0, true end
  end
  return budgets.let_go()
end

-- Lets parked jobs try again, as many as there are places; whether there were any. Once: what was let go holds the
-- places until a lease has looked at it.
function budgets.let_go()
  if meta[PARKED_QUEUES] == 0 then return false end
  local moved, all = false, budgets.all()
  for i = 1, #all do
    local b = all[i]
    local waiting = b.r[PARKED_IN]
    local rounds = #waiting
    local places = rounds > 0 and open_places(b) or 0
    while places > 0 and rounds > 0 do
      local q = queues.of_key(remove_at(waiting, 1))
      rounds, b.changed = rounds - 1, true
      meta[PARKED_QUEUES] = meta[PARKED_QUEUES] - 1
      -- Else it was removed, or spends another budget now.
      if q and q.limits.budget and q.limits.budget[1] == b.name then
        local unparked = turns.unpark(q, places)
        moved = moved or unparked > 0
        places = places - unparked
        b.r[LET_GO] = b.r[LET_GO] + unparked
        meta[LET_GO_JOBS] = meta[LET_GO_JOBS] + unparked
        if queues.parked_count(q) > 0 then
          waiting[#waiting + 1] = q.k
          meta[PARKED_QUEUES] = meta[PARKED_QUEUES] + 1
        end
      end
    end
  end
  return moved
end

-- When a budget lets the next parked job try.
function budgets.next()
  local next_at = FOREVER
  if meta[PARKED_QUEUES] == 0 then return next_at end
  local all = budgets.all()
  for i = 1, #all do
    if #all[i].r[PARKED_IN] > 0 then
      local place = budgets.free_at(all[i], false)
      if place > now or open_places(all[i]) > 0 then next_at = min(next_at, place) end
    end
  end
  return next_at
end

function budgets.store()
  local records = {}
  for name, b in pairs(B) do
    if b and b.changed then
      records[#records + 1] = name
      records[#records + 1] = pack(b.r)
    end
  end
  run_many('HSET', K.budget, records)
end
