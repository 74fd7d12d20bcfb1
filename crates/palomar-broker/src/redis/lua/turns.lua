-- Lanes and rings: the lists through which a job waits for its turn, and how it moves from phase to phase.
--
-- A lane holds the ready jobs of one group and priority; a queue's ring of a priority holds the groups whose lane is
-- not empty; a pool's ring holds the queues that may start a job. Each is visited in turn. Of the jobs of one key only
-- the first of their chain is ever in a lane.

-- Takes a job out of the list that its phase puts it in.
function turns.leave(j)
  local phase, q = j.phase, j.q
  local r = q.r
  if SLEEPS[phase] then
    times.drop(sleepers, j.s)
    if phase == PACING then turns.pacing(q)[j.s] = false end
    if phase == STARTED then
      local g = j.g or jobs.group(j)
      g.r[GROUP_STARTED] = g.r[GROUP_STARTED] - 1
      if not g.changed then groups.touch(g) end
    end
  elseif phase == READY then
    local g, lane = j.g or jobs.group(j), j.lane
    list.remove(g.lanes[lane] or groups.lane(g, lane), j.s)
    if not g.changed then groups.touch(g) end
    r[WAITING + lane] = r[WAITING + lane] - 1
  elseif phase == PARKED then
    list.remove(queues.parked_list(q), j.s)
  elseif FINAL[phase] then
    list.remove(queues.kept_list(q, KEPT[phase]), j.s)
  end
  if SOUGHT[phase] then times.drop(sought, j.s) end
  r[PHASE + phase] = r[PHASE + phase] - 1
  if not q.changed then queues.touch(q) end
  -- A place is free, or what was reserved in the windows is used or given back.
  if phase == LEASED or phase == STARTED then turns.wake(q) end
end

-- Puts a job, which has left its list, into a phase and its list; first where it has had its turn before.
local function enter_at(j, phase, when, push)
  local q = j.q
  local r = q.r
  j.phase, j.when = phase, when
  r[PHASE + phase] = r[PHASE + phase] + 1
  if not q.changed then queues.touch(q) end
  if SLEEPS[phase] then
    times.put(sleepers, j.s, when)
    if phase == PACING then turns.pacing(q)[j.s] = true end
    if phase == STARTED then
      local g = j.g or jobs.group(j)
      g.r[GROUP_STARTED] = g.r[GROUP_STARTED] + 1
      if not g.changed then groups.touch(g) end
    end
  elseif phase == READY then
    local g, lane = j.g or jobs.group(j), j.lane
    push(g.lanes[lane] or groups.lane(g, lane), j.s)
    if not g.changed then groups.touch(g) end
    r[WAITING + lane] = r[WAITING + lane] + 1
    if g.r[GROUP_RING + lane] == 0 then turns.join(g, lane) end
    turns.wake(q)
  elseif phase == PARKED then
    push(queues.parked_list(q), j.s)
    local b = budgets.of_queue(q)
    if b then budgets.waits(b, q) end
  elseif FINAL[phase] then
    list.push_back(queues.kept_list(q, KEPT[phase]), j.s)
  end
  if SOUGHT[phase] then times.put(sought, j.s, jobs.number(j)) end
  if not j.changed then jobs.touch(j) end
end

function turns.enter(j, phase, when)
  enter_at(j, phase, when, list.push_back)
end

function turns.enter_first(j, phase, when)
  enter_at(j, phase, when, list.push_front)
end

function turns.shift(j, phase, when)
  turns.leave(j)
  enter_at(j, phase, when, list.push_back)
end

-- Sets when a sleeper wakes.
function turns.hold_until(j, at)
  j.when = at
  times.put(sleepers, j.s, at)
  jobs.touch(j)
end

-- Which jobs of a queue came to wait for the pace of their key, and which did so no more.
function turns.pacing(q)
  queues.use(q)
  if not q.pacing then q.pacing = {} end
  return q.pacing
end

-- Puts a group into the ring of a priority if it has a turn to take there.
function turns.join(g, p)
  local r = g.r
  if r[GROUP_PAUSED] == 1 or r[GROUP_RING + p] == 1 or groups.waiting(g, p) == 0 then return end
  r[GROUP_RING + p] = 1
  groups.touch(g)
  local ring = g.q.r[RINGS + p]
  ring[#ring + 1] = g.name
  queues.touch(g.q)
end

-- The ring of a pool.
function turns.ring(pool)
  local ring = rings[pool]
  if not ring then
    local key = K.ring .. pool
    ring = list.of(key, run('LLEN', key), 0, queues.load_fresh)
    rings[pool] = ring
  end
  return ring
end

-- Puts a queue into its pool's ring: something changed that may let it start a job.
function turns.wake(q)
  local r = q.r
  if r[GATED] ~= 0 then queues.open(q) end
  if r[IN_RING] == 0 then
    r[IN_RING] = 1
    queues.touch(q)
    list.push_back(turns.ring(q.pool), q.k)
    woken[q.pool] = true
  end
end

-- Which priorities of a queue have a job to start; drops groups from the rings that have none any more.
local waits = { false, false, false, false }
local function waiting(q)
  local any = false
  for p = 1, 4 do
    local ring, does = q.r[RINGS + p], false
    while #ring > 0 do
      local g = groups.get(q, ring[1])
      if groups.waiting(g, p) > 0 and g.r[GROUP_PAUSED] == 0 then
        does, any = true, true
        break
      end
      g.r[GROUP_RING + p] = 0
      groups.touch(g)
      remove_at(ring, 1)
      queues.touch(q)
      groups.drop_if_empty(g)
    end
    waits[p] = does
  end
  return any
end

-- What holds the key of a job, beside its order: the time until which its pace does, or PARKED for its budget.
function turns.key_restraint(j)
  local q = j.q
  local limits = q.limits
  if not j.key or not (limits.pair or limits.budget) then return nil end
  local free = pairs_of.free_at(q, j.key)
  if free and free > now then return PACING, free end
  local b = limits.budget and jobs.spends(j) and budgets.of_queue(q)
  if b and budgets.free_at(b, j.key) > now then return PARKED end
  return nil
end

-- The job of a queue whose turn it is, or nil. Jobs whose key must wait step aside.
local function pick(q, lease)
  while lease.aside < MOST_ASIDE and waiting(q) do
    local p = queues.next_priority(q, waits)
    local ring = q.r[RINGS + p]
    local g = groups.get(q, ring[1])
    local j = jobs.get(list.first(groups.lane(g, p)))
    local held, free = turns.key_restraint(j)
    if j.expires and j.expires <= now then
      -- More became due than one call does.
      lease.aside = lease.aside + 1
      settle.conclude(j, EXPIRED)
    elseif not held then
      queues.took_turn(q, p, waits)
      if #ring > 1 then
        remove_at(ring, 1)
        ring[#ring + 1] = g.name
      end
      if not q.changed then queues.touch(q) end
      return j
    else
      lease.aside = lease.aside + 1
      if held == PACING then turns.shift(j, PACING, free) else turns.shift(j, PARKED, j.when) end
    end
  end
end

-- The next job of a pool that may start now, or nil.
function turns.next_of_pool(pool, lease)
  local ring = turns.ring(pool)
  while true do
    local k = list.first(ring)
    if not k then return nil end
    -- A queue that is alone in its ring has all the turns.
    if k ~= lease.k then lease.k, lease.q = k, queues.of_key(k) end
    local q = lease.q
    local gate, by = FOREVER, nil
    if q then gate, by = queues.gate(q, 0) end
    local j = gate == nil and pick(q, lease)
    if j then
      if ring.len > 1 then
        list.take(ring)
        list.push_back(ring, k)
      end
      return j
    end
    if lease.aside >= MOST_ASIDE then return nil end
    list.take(ring)
    if q then
      q.r[IN_RING] = 0
      queues.touch(q)
      if gate and gate < FOREVER then queues.shut(q, gate, by) end
    end
  end
end

-- Lets up to `most` parked jobs of a queue try again; how many did.
function turns.unpark(q, most)
  local moved = 0
  while moved < most and queues.parked_count(q) > 0 do
    local j = jobs.get(list.first(queues.parked_list(q)))
    local when = j.when
    turns.leave(j)
    turns.enter(j, READY, when)
    moved = moved + 1
  end
  return moved
end

-- Lets the jobs of a queue that wait for the pace of their key try again.
function turns.unpace(q)
  if q.r[PHASE + PACING] == 0 then return end
  local all = queues.members(K.pacing .. q.k, turns.pacing(q))
  jobs.load(all)
  sort(all, function(a, b) return jobs.number(J[a]) < jobs.number(J[b]) end)
  for i = 1, #all do turns.shift(J[all[i]], READY, now) end
end
