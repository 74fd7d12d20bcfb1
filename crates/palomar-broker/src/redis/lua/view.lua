-- What can be seen: jobs, what holds them, numbers.

-- Queues whose names are part of the answer.
local named_queues

function view.begin()
  named_queues = {}
end

-- The number of a queue; its name goes with the answer.
function view.named(q)
  named_queues[q.ix] = q.r[NAME]
  return q.ix
end

-- { number, name, … }
function view.names()
  local names = {}
  for ix, name in pairs(named_queues) do
    names[#names + 1] = ix
    names[#names + 1] = name
  end
  return names
end

-- Whether a job fits a filter: { queue, pool, group, states, reason, queued before, ended before, id }, false for what
-- does not matter.
function view.fits(j, filter)
  local q = j.q
  return (not filter[1] or q.r[NAME] == filter[1])
    and (not filter[2] or q.pool == filter[2])
    and (not filter[3] or j.group == filter[3])
    and (not filter[4] or filter[4][STATE[j.phase] + 1])
    and (not filter[6] or j.enqueued_at < filter[6])
    and (not filter[7] or FINAL[j.phase] and j.when < filter[7])
    and (not filter[8] or j.id == filter[8])
    and (not filter[5] or j.reason and find(j.reason, filter[5], 1, true) ~= nil)
end

-- The numbers of queues from one on, up to `most` of them, and where to go on, or false at the end.
function view.queues(from, most)
  local ixs, last = {}, meta[NEXT_QUEUE] - 1
  while from <= last and #ixs < most do
    local ks, to = {}, min(from + most - 1, last)
    for ix = from, to do
      if Q[ix] == nil then ks[#ks + 1] = spack('>I4', ix) end
    end
    queues.load(ks)
    for ix = from, to do
      if Q[ix] then ixs[#ixs + 1] = ix end
    end
    from = to + 1
  end
  return ixs, from <= last and from
end

-- Loads jobs by number and keeps those that fit; records of forgotten jobs are of no job.
local function collect(sids, filter, phases, found)
  jobs.load(sids)
  local ids = {}
  for i = 1, #sids do
    local j = J[sids[i]]
    if j and ID[j.id] == nil then ids[#ids + 1] = j.id end
  end
  if #ids > 0 then
    local known = read_many(K.id, ids)
    for i = 1, #ids do ID[ids[i]] = known[i] end
  end
  for i = 1, #sids do
    local j = J[sids[i]]
    if j and ID[j.id] == j.s and phases[j.phase] and view.fits(j, filter) then found[#found + 1] = j end
  end
end

-- Whether all phases that matter are in the index of those that people look for.
local function are_sought(filter, phases)
  for phase = 1, 15 do
    local matters = phases[phase] and (not filter[4] or filter[4][STATE[phase] + 1])
    if matters and not SOUGHT[phase] then return false end
  end
  return true
end

-- Jobs that fit, of those numbered above `from` and up to `to`, in the order of arrival: those among the next `most`
-- that there are; and where to go on, or false at the end.
function view.find(filter, phases, from, to, most)
  local found, looked = {}, 0
  if filter[8] then
    local j = jobs.find(filter[8])
    local number = j and jobs.number(j)
    if j and number > from and number <= to and phases[j.phase] and view.fits(j, filter) then found[1] = j end
    return found, false
  end
  if are_sought(filter, phases) then
    times.store(sought)
    sought.set = {}
    local sids = run('ZRANGEBYSCORE', K.sought, '(' .. text_of(from), text_of(to), 'LIMIT', 0, most)
    collect(sids, filter, phases, found)
    return found, #sids == most and times.number(sids[most])
  end
  local at = floor((from + 1) / 1024)
  while looked < most do
    local held = run('ZRANGEBYSCORE', K.chunks, at, '+inf', 'LIMIT', 0, 1)
    local chunk = held[1] and tonumber(held[1])
    -- Chunks that this call began are in no index yet.
    for other, by in pairs(chunks) do
      if by > 0 and other >= at and (not chunk or other < chunk) then chunk = other end
    end
    if not chunk or chunk * 1024 > to then return found, false end
    local sids = {}
    for number = max(chunk * 1024, from + 1), min(chunk * 1024 + 1023, to) do
      sids[#sids + 1] = spack('>I6', number)
    end
    local part = {}
    collect(sids, filter, phases, part)
    for i = 1, #part do found[#found + 1] = part[i] end
    looked = looked + #sids
    at = chunk + 1
  end
  return found, at * 1024 - 1
end

-- A job as it stands: { id, number, queue, group, priority, state, attempts, token, when, accepted at, reason }.
local function shown(j)
  return {
    j.id, jobs.number(j), view.named(j.q), j.group, jobs.priority(j) - 1, STATE[j.phase], j.attempts, j.token, j.when,
    j.enqueued_at, j.reason or false,
  }
end

-- One job; its record goes with the answer.
function view.job(id)
  local j = jobs.find(id)
  if not j then return false end
  told[#told + 1] = j
  return shown(j)
end

-- Which of these ids are of jobs that are there.
function view.known(ids)
  jobs.load_ids(ids)
  local known = {}
  for i = 1, #ids do known[i] = ID[ids[i]] and true or false end
  return known
end

local ALL_PHASES = { true, true, true, true, true, true, true, true, true, true, true, true, true, true, true }

-- A page of jobs: the jobs, and where to go on, or false at the end.
function view.jobs(filter, from, most)
  local found, next_from = view.find(filter, ALL_PHASES, from, FOREVER, 2048)
  local page = {}
  for i = 1, min(#found, most) do page[i] = shown(found[i]) end
  if #found > most then next_from = jobs.number(found[most]) end
  return { page, next_from }
end

-- How many jobs of its queue go before a ready one.
local function ahead_of(j)
  local q = j.q
  local before = list.before(groups.lane(jobs.group(j), j.lane), j.s)
  local ahead = before
  for p = 1, j.lane do
    local ring = q.r[RINGS + p]
    for i = 1, #ring do
      local g = groups.get(q, ring[i])
      local paused = g.r[GROUP_PAUSED] == 1
      if p < j.lane and not paused then
        ahead = ahead + groups.waiting(g, p)
      elseif not paused and g.name ~= j.group then
        -- Groups take turns: each gets about as many starts as this one before its job.
        ahead = ahead + min(groups.waiting(g, p), before)
      end
    end
  end
  return ahead
end

-- What a queue's restraints are asked of: { name, paused, breaker, its value, throttled until, cut at, from, to, leased,
-- started, limits, windows }.
local function sight_of(q)
  local r = q.r
  local value = r[BREAKER] == HALF_OPEN and 0 or r[BREAKER_VALUE]
  return {
    r[NAME], r[PAUSED], r[BREAKER], value, r[THROTTLED], r[CUT_AT], r[CUT_FROM], r[CUT_TO], queues.leased(q),
    queues.started(q), q.limits.bytes, windows.shown(q),
  }
end

-- What there is to say about what holds a job; what follows from it is said by the machine's own words.
-- { present, phase, when, ahead, first of its chain, group paused, its key's pace until, its budget until, queue }
function view.explain(id)
  local j = jobs.find(id)
  if not j then return false end
  local q, phase = j.q, j.phase
  local ahead, behind, paced, spent = 0, false, false, false
  local b = jobs.spends(j) and budgets.of_queue(q)
  if phase == BLOCKED then
    behind = chains.first(j).id
  elseif phase == PARKED then
    b = budgets.of_queue(q)
    spent = b and budgets.place_after(b, list.before(queues.parked_list(q), j.s))
  elseif phase == READY then
    ahead = ahead_of(j)
    local held, free = turns.key_restraint(j)
    if held == PACING then paced = free end
    if held == PARKED then spent = budgets.free_at(b, j.key) end
  end
  return { now, phase - 1, j.when, ahead, behind, jobs.group(j).r[GROUP_PAUSED] == 1, paced, spent, sight_of(q) }
end

-- When the oldest waiting job of a queue was queued; and, by priority, the oldest that waits in no paused group.
local function oldest_waiting(q)
  local oldest, ready, seen = false, { false, false, false, false }, {}
  local function look(name)
    if seen[name] then return end
    seen[name] = true
    local g = groups.known(q, name)
    for p = 1, 4 do
      local s = g and groups.waiting(g, p) > 0 and list.first(groups.lane(g, p))
      if s then
        local since = jobs.get(s).when
        if not oldest or since < oldest then oldest = since end
        if g.r[GROUP_PAUSED] ~= 1 and (not ready[p] or since < ready[p]) then ready[p] = since end
      end
    end
  end
  for p = 1, 4 do
    local ring = q.r[RINGS + p]
    for i = 1, #ring do look(ring[i]) end
  end
  for i = 1, #q.r[PAUSED_GROUPS] do look(q.r[PAUSED_GROUPS][i]) end
  return oldest, ready
end

local function slice(r, from, count)
  local part = {}
  for i = 1, count do part[i] = r[from + i] end
  return part
end

local function queue_shown(q)
  local r, b = q.r, budgets.of_queue(q)
  local value = r[BREAKER] == HALF_OPEN and 0 or r[BREAKER_VALUE]
  local oldest, ready = oldest_waiting(q)
  return {
    r[NAME], q.limits.bytes, r[PAUSED], r[PAUSED_GROUPS], r[BREAKER], value, throttle.rate(q, now),
    slice(r, PHASE, 15), slice(r, WAITING, 4), slice(r, ACCEPTED - 1, 7), r[STALE], r[RAN_OUT], r[RAN_OUT_STARTED],
    oldest, r[GATED], b and budgets.used(b), slice(r, UNDONE, 3), r[BREAKER_OPENS], slice(r, RESOLVED, 3),
    queues.held(q), ready,
  }
end

-- Queues from a number on, in numbers: { queues, where to go on, or false, requests remembered, answers from them }.
function view.stats(from)
  local ixs, next_from = view.queues(from, 64)
  local shown_queues = {}
  want = 1
  for i = 1, #ixs do shown_queues[i] = queue_shown(Q[ixs[i]]) end
  operate.store_requests()
  return { shown_queues, next_from, run('HLEN', K.request), meta[HITS] }
end
