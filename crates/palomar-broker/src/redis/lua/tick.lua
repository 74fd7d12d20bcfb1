-- What time does: due jobs wake, leases run out, doubt ends, budgets free up, requests are forgotten.

local function expire()
  local due, more = times.due(expiries)
  local sids = {}
  for i = 1, #due do sids[i] = due[i][2] end
  jobs.load(sids)
  for i = 1, #sids do
    local j = J[sids[i]]
    times.drop(expiries, sids[i])
    if j and WAITS[j.phase] then settle.conclude(j, EXPIRED) end
  end
  return more
end

-- A sleeper wakes.
function tick.wake(j)
  local phase, r = j.phase, j.q.r
  if phase == SCHEDULED then
    local due = min(j.when, now)
    turns.leave(j)
    chains.append(j, due)
    facts.of_job(facts.DUE, j)
  elseif phase == BACKOFF or phase == PACING then
    turns.leave(j)
    turns.enter_first(j, READY, now)
  elseif phase == LEASED then
    r[RAN_OUT] = r[RAN_OUT] + 1
    settle.ran_out(j)
  elseif phase == STARTED then
    r[RAN_OUT_STARTED] = r[RAN_OUT_STARTED] + 1
    settle.probe_is_over(j)
    settle.doubt(j)
  elseif phase == DOUBTED then
    settle.stand_aside(j)
  elseif phase == ASIDE then
    settle.apply_policy(j)
  end
end

-- What became due while others woke takes its place among those that are still to wake.
local function insert_late(due, at)
  local late = sleepers.late
  for i = 1, #late do
    local place = #due + 1
    while place > at and times.before(late[i], due[place - 1]) do
      due[place] = due[place - 1]
      place = place - 1
    end
    due[place], late[i] = late[i], nil
  end
end

local function wake_sleepers()
  local due, more = times.due(sleepers)
  local sids = {}
  for i = 1, #due do sids[i] = due[i][2] end
  jobs.load(sids)
  sleepers.late = {}
  local i = 1
  while due[i] do
    local at, s = due[i][1], due[i][2]
    local j = J[s]
    i = i + 1
    -- One that woke before may have moved it.
    if j and SLEEPS[j.phase] and j.when == at then
      tick.wake(j)
      if #sleepers.late > 0 then insert_late(due, i) end
    elseif sleepers.set[s] == nil then
      times.drop(sleepers, s)
    end
  end
  sleepers.late = false
  return more
end

-- Does all that is due; what is more than a call does is left to the next one, which is to come at once.
function tick.run()
  if overdue then return end
  if now < meta[DUE] then
    budgets.let_go()
    return
  end
  want = 64
  local more = expire()
  more = wake_sleepers() or more
  -- What a lease or a doubt gave back may have expired meanwhile.
  more = expire() or more
  budgets.let_go()
  local gated = times.due(gates)
  for i = 1, #gated do
    local q = queues.of_key(gated[i][2])
    if q and q.r[GATED] == gated[i][1] then turns.wake(q) else times.drop(gates, gated[i][2]) end
  end
  local requests = times.due(forgets)
  for i = 1, #requests do operate.forget_request(requests[i][2]) end
  if more or #gated == MOST_DUE or #requests == MOST_DUE then
    meta[DUE], overdue = now, true
  else
    meta[DUE] = min(times.next(sleepers), times.next(expiries), times.next(gates), times.next(forgets))
  end
end
