-- How a lease ends: what its worker says became of it, and what that says about the queue.

-- Leases or panics in a row that make a dead letter.
local POISON = 3
local IS_DONE, RETRY, DEAD_LETTER, NOT_KNOWN, RELEASE, PANICKED = 0, 1, 2, 3, 4, 5
local SUCCESS, FAILURE, THROTTLE, PAUSE = 1, 2, 3, 4
local HOLD, RETRY_POLICY, DROP = 0, 1, 2

local TALLY = { [DONE] = DONES, [DEAD] = DEADS, [CANCELLED] = CANCELS, [EXPIRED] = EXPIRED_JOBS }
local FACT = { [DONE] = facts.DONE, [CANCELLED] = facts.CANCELLED, [EXPIRED] = facts.EXPIRED }

-- A job that may expire waits again.
local function watch_expiry(j)
  if j.expires then times.put(expiries, j.s, j.expires) end
end

-- Makes a job final and forgets the oldest of its kind beyond what is kept.
function settle.conclude(j, phase, reason)
  local q = j.q
  local r = q.r
  if r[BREAKER] == HALF_OPEN then settle.probe_is_over(j) end
  r[TALLY[phase]] = r[TALLY[phase]] + 1
  -- A dead letter that evidence turns into a done job was counted as dead before.
  if j.phase == DEAD then queues.take_back(q, DEAD) end
  if reason or j.reason then j.reason = reason or false end
  if j.vouched then j.vouched = false end
  if j.expires then times.drop(expiries, j.s) end
  turns.shift(j, phase, now)
  chains.take(j)
  jobs.ended(j)
  if phase == DEAD then facts.of_job_text(facts.DEAD, j, reason) else facts.of_job(FACT[phase], j) end
  local kept = KEPT[phase]
  local most = phase == DEAD and keep_dead or keep_finished
  while queues.kept_count(q, kept) > most do
    jobs.forget_first(q, kept)
  end
end

-- An unstarted lease is over: the job waits at the head of its chain.
function settle.give_back(j, strike)
  if strike then j.strikes = min((j.strikes or 0) + 1, 3) end
  watch_expiry(j)
  turns.leave(j)
  turns.enter_first(j, READY, now)
  chains.let_pass(j)
end

-- Known not taken: waits for its next attempt at the head of its chain.
function settle.requeue(j, at, counts, strike)
  if not counts then j.attempts = max(j.attempts - 1, 0) end
  j.strikes = strike and min((j.strikes or 0) + 1, 3) or 0
  j.vouched = false
  watch_expiry(j)
  turns.leave(j)
  if at > now then turns.enter(j, BACKOFF, at) else turns.enter_first(j, READY, now) end
  chains.let_pass(j)
  facts.requeued(j, at)
end

-- The outcome of a started attempt is not known, unless evidence came before.
function settle.doubt(j)
  if j.vouched == true then return settle.conclude(j, DONE) end
  if j.vouched then return settle.conclude(j, DEAD, j.vouched) end
  turns.shift(j, DOUBTED, after(now, j.q.limits.order_wait))
  facts.of_job(facts.UNCERTAIN, j)
end

-- Queued again by policy or by a person; a person's starts the counting of attempts anew.
function settle.revive(j, by_person)
  if FINAL[j.phase] and j.phase ~= DONE then queues.take_back(j.q, j.phase) end
  j.reason, j.vouched = false, false
  -- A person who retries a job means it to go out, whatever its expiry was.
  if by_person and j.expires then
    times.drop(expiries, j.s)
    j.expires, j.waived = false, true
  end
  chains.take(j)
  if by_person then j.attempts = 0 end
  j.strikes = 0
  watch_expiry(j)
  turns.leave(j)
  -- What others lent it is over.
  j.lane = jobs.priority(j)
  chains.append(j, now)
  facts.of_job(facts.RETRIED, j)
end

-- An unstarted lease ran out.
function settle.ran_out(j)
  settle.probe_is_over(j)
  if (j.strikes or 0) + 1 >= POISON then
    settle.conclude(j, DEAD, 'poison: three leases in a row ran out before they started')
  else
    settle.give_back(j, true)
  end
end

-- Later jobs of the key wait no longer for an uncertain one.
function settle.stand_aside(j)
  local limits = j.q.limits
  turns.shift(j, ASIDE, after(j.when, max(limits.uncertain_wait - limits.order_wait, 0)))
  chains.take(j)
end

-- No evidence came in time.
function settle.apply_policy(j)
  local policy = jobs.policy(j)
  if policy == HOLD then
    turns.shift(j, HELD, now)
  elseif policy == RETRY_POLICY then
    settle.resolved(j, BY_POLICY)
    settle.revive(j, false)
  else
    settle.resolved(j, BY_POLICY)
    settle.conclude(j, DEAD, 'uncertain')
  end
end

-- Counts, where a job is uncertain, what ends that.
function settle.resolved(j, how)
  if j.phase == DOUBTED or j.phase == ASIDE or j.phase == HELD then
    j.q.r[RESOLVED + how] = j.q.r[RESOLVED + how] + 1
    queues.touch(j.q)
  end
end

local function open_breaker(q, till)
  q.r[BREAKER], q.r[BREAKER_VALUE] = OPEN, till
  q.r[BREAKER_OPENS] = q.r[BREAKER_OPENS] + 1
  queues.touch(q)
  turns.wake(q)
  facts.of_queue_time(facts.BREAKER_OPENED, q, till)
end

-- A lease ends. If it was the breaker's probe and told nothing, another job is the probe: at once where the other side
-- was not called, else when the breaker's time is over again.
function settle.probe_is_over(j)
  local q = j.q
  if q.r[BREAKER] == HALF_OPEN and q.r[BREAKER_VALUE] == j.s then
    open_breaker(q, after(now, j.phase == STARTED and q.limits.open_for or 0))
  end
end

function settle.close_breaker(q)
  q.r[BREAKER], q.r[BREAKER_VALUE] = FRESH, 0
  queues.touch(q)
end

function settle.pause(q, reason)
  q.r[PAUSED] = reason
  queues.touch(q)
  facts.of_queue_text(facts.PAUSED, q, reason)
end

-- What an attempt says about its queue.
local function signal(j, what, value)
  local q = j.q
  local r, breaker = q.r, q.r[BREAKER]
  local is_probe = breaker == HALF_OPEN and r[BREAKER_VALUE] == j.s
  if what == SUCCESS then
    if is_probe then
      settle.close_breaker(q)
      turns.wake(q)
      facts.of_queue(facts.BREAKER_CLOSED, q)
    elseif breaker == CLOSED then
      settle.close_breaker(q)
    end
  elseif what == FAILURE then
    if is_probe then
      open_breaker(q, after(now, q.limits.open_for))
    elseif (breaker == FRESH or breaker == CLOSED) and q.limits.failures > 0 then
      local failures = (breaker == CLOSED and r[BREAKER_VALUE] or 0) + 1
      if failures >= q.limits.failures then
        open_breaker(q, after(now, q.limits.open_for))
      else
        r[BREAKER], r[BREAKER_VALUE] = CLOSED, failures
        queues.touch(q)
      end
    end
  elseif what == THROTTLE then
    throttle.refused(q, value or q.limits.throttle_wait)
  elseif what == PAUSE and not r[PAUSED] then
    settle.pause(q, value)
  end
end

local function panicked(j, unstarted)
  if (j.strikes or 0) + 1 >= POISON then
    settle.conclude(j, DEAD, 'poison: its handler panicked three times')
  elseif unstarted then
    settle.give_back(j, true)
  else
    settle.requeue(j, now, true, true)
  end
end

function settle.log_events(j, events)
  for i = 1, #events do facts.of_job_text(facts.EVENT, j, events[i]) end
end

-- Ends a lease of which more is said than that the job is done: { outcome, its time or reason, whether it counts,
-- signal, its time or reason, events }.
local function conclude_as(j, said)
  local outcome, value = said[1], said[2]
  if said[6] then settle.log_events(j, said[6]) end
  if said[4] and said[4] ~= 0 then signal(j, said[4], said[5]) end
  settle.probe_is_over(j)
  local unstarted = j.phase == LEASED
  -- Evidence that came while the attempt ran counts as much as evidence that comes a moment later.
  if j.vouched == true or outcome == IS_DONE then
    settle.conclude(j, DONE)
  elseif outcome == DEAD_LETTER then
    settle.conclude(j, DEAD, value)
  elseif outcome == PANICKED then
    panicked(j, unstarted)
  elseif outcome == RETRY then
    -- Unstarted, there was no attempt that could count.
    settle.requeue(j, value, unstarted or said[3], false)
  elseif unstarted then
    settle.give_back(j, false)
  elseif outcome == NOT_KNOWN then
    settle.doubt(j)
  else
    settle.requeue(j, now, false, false)
  end
end

-- Ends a lease: its job is done, where no more is said.
function settle.settle(id, token, said)
  local j = operate.leased(id, token)
  if not j then return STALE_LEASE end
  if said == IS_DONE then settle.conclude(j, DONE) else conclude_as(j, said) end
  return FINE
end
