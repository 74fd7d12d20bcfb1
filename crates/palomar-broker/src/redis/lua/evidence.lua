-- What is learned of attempts later: never refused, and never guessed.

local NOTHING, RESOLVES, SENT_AGAIN = 0, 1, 2

-- Weighs a verdict: true where the attempt was taken, else the reason of its failure.
local function weigh(j, attempt, verdict)
  local phase, taken = j.phase, verdict == true
  local newest_attempt = jobs.newest_start(j)
  local newest = newest_attempt == attempt
  if attempt == 0 or attempt > newest_attempt then return NOTHING end
  if phase == STARTED and newest then
    -- Its worker will say so itself, or be found silent when the lease ends.
    j.vouched = verdict
    jobs.touch(j)
    return NOTHING
  end
  if taken and not newest and (phase == STARTED or phase == DONE) then
    if phase == STARTED then
      -- Should the newer attempt turn out not to have been taken, the job is done all the same.
      j.vouched = true
      jobs.touch(j)
    end
    -- A provider tells of one send several times: sent, delivered, read.
    if j.duplicated then return NOTHING end
    j.duplicated = true
    jobs.touch(j)
    j.q.r[DUPLICATES] = j.q.r[DUPLICATES] + 1
    queues.touch(j.q)
    facts.of_job(facts.SENT_TWICE, j)
    return SENT_AGAIN
  end
  if phase == DONE or phase == CANCELLED or phase == EXPIRED then return NOTHING end
  if taken then
    settle.resolved(j, BY_EVIDENCE)
    if not newest then j.started_under = attempt end
    settle.conclude(j, DONE)
    return RESOLVES
  end
  if newest and (phase == DOUBTED or phase == ASIDE or phase == HELD) then
    settle.resolved(j, BY_EVIDENCE)
    settle.conclude(j, DEAD, verdict)
    return RESOLVES
  end
  return NOTHING
end

-- Takes in what was learned of an attempt: { id, attempt, verdict, events }. The events are logged whatever it changes.
function evidence.take(e)
  local j = jobs.find(e[1])
  if not j then
    for i = 1, #e[4] do facts.event(e[4][i]) end
    return NOTHING
  end
  settle.log_events(j, e[4])
  return weigh(j, e[2], e[3])
end
