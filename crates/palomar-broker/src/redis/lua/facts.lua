-- The event log: what happened in a call is one entry of the partition's stream, numbered by its first fact.
--
-- An entry's field `f` is the time, the number that the next job would have had before, and the facts one after the
-- other, each with its code. A fact names its job by id and queue, so that it can be told when the job is forgotten;
-- jobs that were accepted are told by number: their records stay until every reader is past them.

local OF_JOB, OF_JOB_NUMBER, OF_JOB_TIME, OF_JOB_TEXT = '>Bc16I4', '>Bc16I4I4', '>Bc16I4I8', '>Bc16I4I4c0'
facts.ENQUEUED, facts.DUE, facts.STARTED, facts.REQUEUED, facts.DONE, facts.DEAD = 1, 2, 3, 4, 5, 6
facts.UNCERTAIN, facts.RETRIED, facts.CANCELLED, facts.EXPIRED, facts.SENT_TWICE = 7, 8, 9, 10, 11
facts.PAUSED, facts.RESUMED, facts.BREAKER_OPENED, facts.BREAKER_CLOSED = 12, 13, 14, 15
facts.EVENT, facts.EVENT_OF_NONE = 16, 17

local told_facts, told_count

function facts.begin()
  told_facts, told_count, seq_before = {}, 0, meta[NEXT_SEQ]
end

local function tell(fact)
  told_count = told_count + 1
  told_facts[#told_facts + 1] = fact
end

function facts.of_job(code, j)
  tell(spack(OF_JOB, code, j.id, j.q.ix))
end

function facts.began(j)
  tell(spack(OF_JOB_NUMBER, facts.STARTED, j.id, j.q.ix, j.token))
end

function facts.requeued(j, at)
  tell(spack(OF_JOB_TIME, facts.REQUEUED, j.id, j.q.ix, at))
end

function facts.of_job_text(code, j, text)
  tell(spack(OF_JOB_TEXT, code, j.id, j.q.ix, #text, text))
end

function facts.enqueued(from, count)
  tell(spack('>BI6I4', facts.ENQUEUED, from, count))
  told_count = told_count + count - 1
end

function facts.of_queue(code, q)
  tell(spack('>BI4', code, q.ix))
end

function facts.of_queue_time(code, q, at)
  tell(spack('>BI4I8', code, q.ix, at))
end

function facts.of_queue_text(code, q, text)
  tell(spack('>BI4I4c0', code, q.ix, #text, text))
end

function facts.event(body)
  tell(spack('>BI4c0', facts.EVENT_OF_NONE, #body, body))
end

-- The number of the last fact, those of this call included.
function facts.last()
  return meta[NEXT_FACT] + told_count - 1
end

-- Appends the facts of the call; whether there were any.
function facts.store()
  if told_count == 0 then return false end
  local first = meta[NEXT_FACT]
  run('XADD', K.log, text_of(first) .. '-0', 'f', spack('>I8I8', now, seq_before) .. concat(told_facts))
  meta[NEXT_FACT] = first + told_count
  return true
end
