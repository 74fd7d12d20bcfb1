-- What people and programs order: pause, cancel, promote, retry, purge, clean, limits.

local DONE_SO, NO_QUEUE, NO_JOB, WRONG_STATE, NOT_EMPTY, TOO_MANY = 0, 1, 2, 3, 4, 5
local SENT, FAILED = 0, 1
-- Jobs that one call forgets.
local MOST_FORGOTTEN = 1000

local function did(changed, in_flight)
  return { DONE_SO, changed, in_flight, false }
end

-- Pauses a group or resumes it; where to go on letting others pass, or false. Nothing where it is so already.
local function set_paused(g, paused)
  if (g.r[GROUP_PAUSED] == 1) == paused then return false end
  local names = g.q.r[PAUSED_GROUPS]
  if paused then names[#names + 1] = g.name end
  for i = #names, 1, -1 do
    if not paused and names[i] == g.name then remove_at(names, i) end
  end
  g.r[GROUP_PAUSED] = paused and 1 or 0
  groups.touch(g)
  queues.touch(g.q)
  if not paused then
    for p = 1, 4 do turns.join(g, p) end
  end
  return chains.let_all_pass(g)
end

local of_queue = {}

function of_queue.pause(q, reason)
  settle.pause(q, reason)
  return did(0, queues.started(q))
end

function of_queue.resume(q)
  q.r[PAUSED], q.r[THROTTLED] = false, 0
  settle.close_breaker(q)
  turns.wake(q)
  facts.of_queue(facts.RESUMED, q)
  return did(0, queues.started(q))
end

-- Resumes it where it is paused with this reason.
function of_queue.lift(q, reason)
  if q.r[PAUSED] ~= reason then return did(0, queues.started(q)) end
  of_queue.resume(q)
  return did(1, queues.started(q))
end

function of_queue.pause_group(q, name)
  local g = groups.get(q, name)
  local next_from = set_paused(g, true)
  return { DONE_SO, 0, g.r[GROUP_STARTED], next_from }
end

function of_queue.resume_group(q, name)
  local g = groups.get(q, name)
  local next_from = set_paused(g, false)
  groups.drop_if_empty(g)
  turns.wake(q)
  return { DONE_SO, 0, 0, next_from }
end

function of_queue.remove(q)
  local finals, all = 0, 0
  for n = 1, 4 do finals = finals + queues.kept_count(q, n) end
  for phase = 1, 15 do all = all + q.r[PHASE + phase] end
  if all > finals then return { NOT_EMPTY, all - finals } end
  if finals > MOST_FORGOTTEN then return { TOO_MANY } end
  queues.remove(q)
  return did(finals, 0)
end

local of_job = {}

function of_job.cancel(j)
  if not WAITS[j.phase] and j.phase ~= LEASED then return nil end
  settle.conclude(j, CANCELLED)
  return did(1, 0)
end

function of_job.promote(j)
  if j.phase == SCHEDULED then
    tick.wake(j)
  elseif j.phase == BACKOFF then
    settle.requeue(j, now, true, false)
  else
    return nil
  end
  return did(1, 0)
end

local function is_uncertain(j)
  return j.phase == DOUBTED or j.phase == ASIDE or j.phase == HELD
end

function of_job.retry(j)
  if not (FINAL[j.phase] and j.phase ~= DONE or is_uncertain(j)) then return nil end
  settle.revive(j, true)
  return did(1, 0)
end

function of_job.resolve(j, resolution)
  if not is_uncertain(j) then return nil end
  settle.resolved(j, BY_PERSON)
  if resolution == SENT then
    settle.conclude(j, DONE)
  elseif resolution == FAILED then
    settle.conclude(j, DEAD, 'a person settled it as failed')
  else
    settle.revive(j, true)
  end
  return did(1, 0)
end

-- Does what was ordered: { what, queue's name or job's id, more }.
function control.order(what, subject, more)
  if what == 'configure' then
    local q = queues.named(subject)
    if q then queues.configure(q, more) else q = queues.create(subject, more) end
    return did(1, queues.started(q))
  end
  if of_queue[what] then
    local q = queues.named(subject)
    return q and of_queue[what](q, more) or { NO_QUEUE }
  end
  local j = jobs.find(subject)
  if not j then return { NO_JOB } end
  return of_job[what](j, more) or { WRONG_STATE, STATE[j.phase] }
end

-- Goes on letting jobs pass where a group was paused or resumed: where to go on, or false at the end.
function control.let_pass(name, group, from)
  local q = queues.named(name)
  local g = q and groups.known(q, group)
  return g and chains.let_all_pass(g, from)
end

-- What is done to each job that a sweep finds.
local actions = {}

function actions.cancel(j) settle.conclude(j, CANCELLED) end
function actions.retry(j) settle.revive(j, true) end
function actions.forget(j) jobs.forget(j) end

-- Does something to the jobs that fit, of those numbered above `from` and up to `to`: a part of them, in the order of
-- arrival. `allowed` is how many of each queue may be touched, or false for all. Answers how many were, how many fit by
-- queue, and where to go on, or false at the end.
function control.sweep(filter, phases, action, from, to, allowed)
  local changed_jobs, by_queue = 0, {}
  local found, next_from = view.find(filter, phases, from, to, MOST_FORGOTTEN)
  for i = 1, #found do
    local j = found[i]
    local ix = j.q.ix
    by_queue[ix] = (by_queue[ix] or 0) + 1
    if actions[action] and (not allowed or by_queue[ix] <= (allowed[ix] or 0)) then
      actions[action](j)
      changed_jobs = changed_jobs + 1
    end
  end
  local counted = {}
  for ix, count in pairs(by_queue) do
    counted[#counted + 1] = ix
    counted[#counted + 1] = count
  end
  return { changed_jobs, counted, next_from, meta[NEXT_SEQ] - 1 }
end

-- Forgets done, cancelled and expired jobs that fit, but for the newest `keep` of each queue and phase, in queues from
-- a number on: how many, and where to go on, or false at the end.
function control.clean(filter, keep, from)
  local forgotten, next_from = 0, false
  local ixs
  if filter[1] then
    local q = queues.named(filter[1])
    ixs = q and { q.ix } or {}
  else
    ixs, next_from = view.queues(from, 64)
  end
  for i = 1, #ixs do
    local q = Q[ixs[i]]
    for n = 1, 3 do
      if queues.kept_count(q, n) > keep then
        local sids, fitting = list.all(queues.kept_list(q, n)), {}
        jobs.load(sids)
        for at = 1, #sids do
          local j = jobs.get(sids[at])
          if view.fits(j, filter) then fitting[#fitting + 1] = j end
        end
        sort(fitting, function(a, b) return jobs.number(a) < jobs.number(b) end)
        for at = 1, #fitting - keep do
          jobs.forget(fitting[at])
          forgotten = forgotten + 1
        end
      end
    end
  end
  return { forgotten, next_from }
end

-- Attempts that are under way in the queues that fit.
function control.in_flight(filter)
  local total, from = 0, 0
  while from do
    local ixs, next_from = view.queues(from, 1000)
    for i = 1, #ixs do
      local q = Q[ixs[i]]
      local fits = (not filter[1] or q.r[NAME] == filter[1]) and (not filter[2] or q.pool == filter[2])
      if fits and filter[3] then
        local g = groups.known(q, filter[3])
        total = total + (g and g.r[GROUP_STARTED] or 0)
      elseif fits then
        total = total + queues.started(q)
      end
    end
    from = next_from
  end
  return total
end
