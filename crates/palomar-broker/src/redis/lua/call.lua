-- The call: what comes in, in order, and one answer.
--
-- A call is { caller, number, process, present or 0, kept finished, kept dead, age of facts that are kept, limits of new
-- queues, whether it is remembered, operations }, and the records of the jobs that it enqueues. The last answer to a
-- remembered call of each caller is kept: a call that comes again, because its answer was lost, is answered with it.
-- What is answered is a head, { present, when something is due, end of the log, names of queues, queues with windows in
-- which attempts began }, then one answer for each operation, then the records of the jobs that were leased or asked for.

local CALL_CALLER, CALL_NUMBER, CALL_PROCESS, CALL_NOW, CALL_FINISHED, CALL_DEAD = 1, 2, 3, 4, 5, 6
local CALL_LOG, CALL_LIMITS, CALL_REMEMBERED, CALL_OPERATIONS = 7, 8, 9, 10

-- What was answered before, and the records.
local function answered_before(answer, sids)
  if #sids > 0 then
    local records = read_many(K.job, sids)
    for i = 1, #records do answer[#answer + 1] = records[i] end
  end
  return answer
end

local function begin(one)
  changed, B, R, rings, woken = {}, {}, {}, {}, {}
  dropped_groups, removed_queues, chunks, told, started_in = {}, {}, {}, {}, {}
  gave_up, overdue, want = false, false, 1
  caller, keep_finished, keep_dead, keep_log = one[CALL_PROCESS], one[CALL_FINISHED], one[CALL_DEAD], one[CALL_LOG]
  local present = one[CALL_NOW]
  if present == 0 then
    local clock = run('TIME')
    present = clock[1] * 1000000 + clock[2]
  end
  -- Time never goes back.
  now = max(meta[NOW], present)
  meta[NOW] = now
  jobs.begin()
  queues.begin()
  groups.begin()
  chains.begin()
  times.begin()
  facts.begin()
  view.begin()
  operate.begin()
end

local does = {}

function does.enqueue(o, brought, blobs)
  local from = brought.taken
  brought.taken = from + #o[3]
  local identities = {}
  for i = 1, #o[4] do
    for n = 1, #o[4][i], 3 do identities[#identities + 1] = o[4][i][n] end
  end
  if #identities > 0 then operate.load_requests(identities) end
  return operate.enqueue(o[2], o[3], o[4], brought.limits, blobs, from, o[5], o[6])
end

function does.lease(o)
  local given = operate.lease(o[2], o[3], o[4], o[5])
  if #given == 0 and o[6] then
    -- Whoever waits is told when there is work.
    local waiting = meta[WAITING_FOR]
    local callers = waiting[o[2]] or {}
    waiting[o[2]] = callers
    for i = 1, #callers do
      if callers[i] == caller then return given end
    end
    callers[#callers + 1] = caller
  end
  return given
end

function does.start(o)
  local answers = {}
  for i = 1, #o[2], 2 do answers[#answers + 1] = operate.start(o[2][i], o[2][i + 1]) end
  return answers
end

function does.renew(o)
  local answers = {}
  for i = 1, #o[2], 2 do answers[#answers + 1] = operate.renew(o[2][i], o[2][i + 1], o[3]) end
  return answers
end

function does.settle(o)
  local settles, answers = o[2], {}
  want = min(#settles / 3, 256)
  for i = 1, #settles, 3 do
    answers[#answers + 1] = settle.settle(settles[i], settles[i + 1], settles[i + 2])
    tick.run()
  end
  return answers
end

function does.evidence(o)
  local answers = {}
  for i = 1, #o[2] do answers[i] = evidence.take(o[2][i]) end
  return answers
end

function does.log(o)
  for i = 1, #o[2] do facts.event(o[2][i]) end
  return facts.last()
end

function does.control(o) return control.order(o[2], o[3], o[4]) end
function does.let_pass(o) return control.let_pass(o[2], o[3], o[4]) end
function does.sweep(o) return control.sweep(o[2], o[3], o[4], o[5], o[6], o[7]) end
function does.clean(o) return control.clean(o[2], o[3], o[4]) end
function does.in_flight(o) return control.in_flight(o[2]) end
function does.job(o) return view.job(o[2]) end
function does.knows(o) return view.known(o[2]) end
function does.jobs(o) return view.jobs(o[2], o[3], o[4]) end
function does.explain(o) return view.explain(o[2]) end
function does.stats(o) return view.stats(o[2]) end
function does.readers(o) upkeep.readers(o[2]); return true end
function does.acknowledge(o) upkeep.acknowledge(o[2], o[3]); return true end

-- What began in queues in a call was durable later than it should.
function does.put_off(o)
  for i = 1, #o[4] do
    local q = queues.of_key(spack('>I4', o[4][i]))
    if q then
      windows.put_off(q, o[2], o[3])
      queues.touch(q)
    end
  end
  return true
end

-- Waits for facts after a number: whether there are some now.
function does.await(o)
  if facts.last() > o[2] then return true end
  local waiting = meta[WAITING_LOG]
  for i = 1, #waiting do
    if waiting[i] == caller then return false end
  end
  waiting[#waiting + 1] = caller
  return false
end

-- Tells other processes of what they wait for, once: they ask again, and wait again where there is nothing.
local function wake_others(any_facts)
  for pool in pairs(woken) do
    local callers = meta[WAITING_FOR][pool]
    if callers and rings[pool].len > 0 then
      local others = #callers > 1 or callers[1] ~= caller
      meta[WAITING_FOR][pool] = nil
      if others then run('PUBLISH', K.wake, 'p' .. pool) end
    end
  end
  if any_facts and #meta[WAITING_LOG] > 0 then
    local waiting = meta[WAITING_LOG]
    if #waiting > 1 or waiting[1] ~= caller then run('PUBLISH', K.wake, 'l') end
    meta[WAITING_LOG] = {}
  end
end

function store.all()
  jobs.store()
  chains.store()
  groups.store()
  queues.store()
  budgets.store()
  operate.store_requests()
  for _, ring in pairs(rings) do list.store(ring) end
  times.store_all()
  return facts.store()
end

function entry.call(keys_given, arguments)
  if not run then bind() end
  K = keys(keys_given[1])
  local one = unpack_msg(arguments[1])
  local stored = run('HMGET', K.base, 'm', one[CALL_CALLER])
  if not stored[1] then return redis.error_reply('NOQUEUES there are no queues under this prefix') end
  if stored[2] and one[CALL_REMEMBERED] then
    local number, from = sunpack('>I8', stored[2])
    if number == one[CALL_NUMBER] then
      -- What confirms it waits for what its connection wrote last: so this one writes, too.
      run('HSET', K.base, 'again', number)
      local last = unpack_msg(sub(stored[2], from))
      return answered_before(last[1], last[2])
    end
    -- It was late on its way, and was repeated and answered meanwhile.
    if number > one[CALL_NUMBER] then return redis.error_reply('OLDCALL a later call was answered before') end
  end
  left.take_up(stored[1])
  begin(one)
  tick.run()
  local answer, operations = { false }, one[CALL_OPERATIONS]
  local brought = { limits = one[CALL_LIMITS], taken = 1 }
  entry.prefetch(operations, arguments)
  for i = 1, #operations do
    tick.run()
    answer[i + 1] = pack(does[operations[i][1]](operations[i], brought, arguments))
  end
  local due = min(meta[DUE], budgets.next())
  if gave_up then due = now end
  local any_facts = store.all()
  upkeep.now_and_then()
  wake_others(any_facts)
  local began_in = {}
  for ix in pairs(started_in) do began_in[#began_in + 1] = ix end
  answer[1] = pack({ now, due, meta[NEXT_FACT] - 1, view.names(), began_in })
  local record = left.record(one[CALL_CALLER] .. spack('>I8', one[CALL_NUMBER]))
  if one[CALL_REMEMBERED] then
    local sids = {}
    for i = 1, #told do sids[i] = told[i].s end
    run('HSET', K.base, 'm', record, one[CALL_CALLER], spack('>I8', one[CALL_NUMBER]) .. pack({ answer, sids, now }))
  else
    run('HSET', K.base, 'm', record)
  end
  for i = 1, #told do answer[#answer + 1] = told[i].record end
  left.leave(record)
  return answer
end

-- Makes a partition where there is none: { layout, partitions }. Answers what is there.
function entry.create(keys_given, arguments)
  if not run then bind() end
  K = keys(keys_given[1])
  if run('HEXISTS', K.base, 'm') == 0 then
    run('HSET', K.base, 'm', pack({ 1, 1, 0, 0, FOREVER, 0, FOREVER, FOREVER, 0, {}, {}, {}, 0, 0, {} }), 'layout',
      arguments[1], 'partitions', arguments[2])
  end
  return run('HMGET', K.base, 'layout', 'partitions')
end
