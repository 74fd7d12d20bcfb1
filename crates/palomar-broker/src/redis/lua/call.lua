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

-- What the last call on a partition left loaded, by the partition's base, and how much was read for that of all.
--
-- Each call writes the partition's record, with the present in it, which never goes back, and counters that go on: where
-- the record is the one that the last call here has written, nothing has been written since, and all that was loaded is as
-- it was. After anything else (another library, a server that was a replica for a while, keys that were removed) it is not,
-- and is read anew. A call takes what is left and gives it back at its end: an error leaves nothing.
local left, left_size = {}, 0
-- After so many reads and new jobs of a partition nothing of its jobs stays; after so many of all partitions, nothing at
-- all: what is not needed soon is not worth its memory.
local MOST_JOBS, MOST_LEFT = 8192, 65536

-- Takes up what was left where it still holds, or begins with nothing.
local function take_up(record)
  local before = left[K.base]
  if before then
    left[K.base] = nil
    left_size = left_size - before.jobs - before.queues
    if before.record == record then
      meta, J, ID, Q, QN, G, C = before.meta, before.J, before.ID, before.Q, before.QN, before.G, before.C
      store.jobs, store.queues = before.jobs, before.queues
      return
    end
  end
  meta, J, ID, Q, QN, G, C = unpack_msg(record), {}, {}, {}, {}, {}, {}
  store.jobs, store.queues = 0, 0
end

-- Leaves to the next call what this one has loaded.
local function leave(record)
  jobs.rest()
  chains.rest()
  groups.rest()
  queues.rest()
  if store.jobs > MOST_JOBS then J, ID, C, store.jobs = {}, {}, {}, 0 end
  left_size = left_size + store.jobs + store.queues
  if left_size > MOST_LEFT then
    left, left_size = {}, 0
    return
  end
  left[K.base] = {
    record = record, meta = meta, J = J, ID = ID, Q = Q, QN = QN, G = G, C = C, jobs = store.jobs, queues = store.queues,
  }
end

local function begin(one)
  changed, B, R, rings, woken = {}, {}, {}, {}, {}
  dropped_groups, dropped_chains, removed_queues, chunks, told, started_in = {}, {}, {}, {}, {}, {}
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

-- Reads the chains that jobs are to be appended to.
local function prefetch_chains(operations, blobs)
  local chain_keys, from = {}, 1
  for i = 1, #operations do
    local o = operations[i]
    if o[1] == 'enqueue' then
      for n = 1, #o[3] do
        local q, key = queues.named(o[2][o[3][n]]), sub(blobs[from + n], 21, 28)
        local chain_key = q and key ~= EMPTY_KEY and q.k .. key
        if chain_key and C[chain_key] == nil then
          C[chain_key] = false
          chain_keys[#chain_keys + 1] = chain_key
        end
      end
      from = from + #o[3]
    end
  end
  chains.load(chain_keys)
end

-- Reads at once what the operations will ask for one by one. Records of new jobs follow the first of `blobs`.
local function prefetch(operations, blobs)
  local ids, names, from = {}, {}, 1
  for i = 1, #operations do
    local o = operations[i]
    local what = o[1]
    if what == 'settle' then
      for n = 1, #o[2] do ids[#ids + 1] = o[2][n][1] end
    elseif what == 'start' or what == 'renew' then
      for n = 1, #o[2], 2 do ids[#ids + 1] = o[2][n] end
    elseif what == 'evidence' then
      for n = 1, #o[2] do ids[#ids + 1] = o[2][n][1] end
    elseif what == 'enqueue' then
      for n = 1, #o[2] do names[#names + 1] = o[2][n] end
      for n = 1, #o[3] do ids[#ids + 1] = sub(blobs[from + n], 5, 20) end
      from = from + #o[3]
    end
  end
  if #ids > 0 then jobs.load_ids(ids) end
  if #names > 0 then
    queues.load_names(names)
    prefetch_chains(operations, blobs)
  end
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
  return operate.enqueue(o[2], o[3], o[4], brought.limits, blobs, from)
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
  local answers = {}
  want = min(#o[2], 256)
  for i = 1, #o[2] do
    answers[i] = settle.settle(o[2][i])
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
  take_up(stored[1])
  begin(one)
  tick.run()
  local answer, operations = { false }, one[CALL_OPERATIONS]
  local brought = { limits = one[CALL_LIMITS], taken = 1 }
  prefetch(operations, arguments)
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
  local record = pack(meta)
  if one[CALL_REMEMBERED] then
    local sids = {}
    for i = 1, #told do sids[i] = told[i].s end
    run('HSET', K.base, 'm', record, one[CALL_CALLER], spack('>I8', one[CALL_NUMBER]) .. pack({ answer, sids, now }))
  else
    run('HSET', K.base, 'm', record)
  end
  for i = 1, #told do answer[#answer + 1] = told[i].record end
  leave(record)
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
