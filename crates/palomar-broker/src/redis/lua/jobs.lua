-- Jobs: what they are, where they stand, how they are found.
--
-- A job's *record* is written once, when it is accepted: see RECORD; the payload follows. Where the job stands is
-- stored beside it, and only while that differs from how it was accepted, so that a job that just waits costs its
-- record, one entry of the index by id and one element of its lane.

-- Queue, accepted at, version, priority, policy, flags (1: spends no budget; 2: the payload is compressed), id, key,
-- due, expiry, group (empty, or 1 and its name).
local RECORD = '>I4I8BBBBc16c8I8I8Bc0'
-- Phase, when, token, attempts, strikes, priority in force, whether more follows.
local STANDING = '>BI8I4I2BBB'
-- Where in a record some of this is. Of a record before queue and time are put in front: due, expiry and group, as most
-- jobs have them: none.
local PRIORITY_AT, ID_AT, GROUP_AT, PREFIX = 14, 17, 57, 12
local REST_AT, NO_REST = 29, nil

-- How a job changed in this call, where it did.
local CHANGED, NEW = 1, 2

-- What of kept jobs was read to forget them: id and group, by number; those that were forgotten.
local kept_ids, forgotten
-- The phase of the jobs of a list of kept ones.
local PHASE_KEPT = { DONE, CANCELLED, EXPIRED, DEAD }

function jobs.begin()
  kept_ids, forgotten = {}, {}
  NO_REST = NO_REST or string.rep('\0', GROUP_AT - PREFIX - REST_AT + 1)
end

local function number_of(s)
  return (sunpack('>I6', s))
end

local function sid_of(number)
  return spack('>I6', number)
end

-- A job as it was accepted. What few jobs have is there only where they have it, since a small table costs less: due,
-- expires, strikes, before, behind, waived, duplicated, vouched, reason, and started_under: the attempt that evidence is
-- measured by, where it is not the newest lease's.
local function job_of(s, record, q, id, key, group, enqueued_at, priority)
  return {
    s = s, record = record, q = q, id = id, group = group, enqueued_at = enqueued_at, key = key ~= EMPTY_KEY and key,
    phase = READY, when = enqueued_at, token = 0, attempts = 0, lane = priority + 1, stored = false, changed = false,
    g = false,
  }
end

-- A job from its record, as it was accepted.
local function accepted(s, record)
  local q, enqueued_at, _, priority, _, _, id, key, due, expires, group = sunpack(RECORD, record)
  local j = job_of(s, record, q, id, key, group, enqueued_at, priority)
  if due > enqueued_at then j.due, j.phase, j.when = due, SCHEDULED, due end
  if expires > 0 then j.expires = expires end
  return j
end

-- What is asked of a job rarely enough to be read from its record: its own priority, what is done where an attempt's
-- outcome stays unknown, whether it spends a budget.
function jobs.priority(j)
  return byte(j.record, PRIORITY_AT) + 1
end

function jobs.policy(j)
  return byte(j.record, PRIORITY_AT + 1)
end

function jobs.spends(j)
  return byte(j.record, PRIORITY_AT + 2) % 2 == 0
end

local function stand(j, standing)
  local phase, when, token, attempts, strikes, lane, more, rest = sunpack(STANDING, standing)
  j.phase, j.when, j.token, j.attempts, j.lane = phase, when, token, attempts, lane
  if strikes > 0 then j.strikes = strikes end
  if more == 1 then
    local other = unpack_msg(sub(standing, rest))
    j.started_under, j.before, j.behind, j.waived, j.duplicated = other[1], other[2], other[3], other[4], other[5]
    j.vouched, j.reason = other[6], other[7]
    if j.waived then j.expires = false end
  end
  j.stored = standing
end

-- Where a job stands, to be stored; nil where it stands as it was accepted.
local function standing_of(j)
  local more = j.started_under or j.before or j.behind or j.waived or j.duplicated or j.vouched or j.reason
  local strikes = j.strikes or 0
  if j.token == 0 and not more and j.attempts == 0 and strikes == 0 and j.lane == jobs.priority(j) then
    local phase, when = READY, j.enqueued_at
    if j.due then phase, when = SCHEDULED, j.due end
    if j.phase == phase and j.when == when then return nil end
  end
  local fixed = spack(STANDING, j.phase, j.when, j.token, j.attempts, strikes, j.lane, more and 1 or 0)
  if not more then return fixed end
  return fixed .. pack({
    j.started_under or false, j.before or false, j.behind or false, j.waived or false, j.duplicated or false,
    j.vouched or false, j.reason or false,
  })
end

-- Gives fresh jobs their queues, groups and chains, each kind read at once.
local function complete(fresh)
  local wanted, seen = {}, {}
  for i = 1, #fresh do
    local q = fresh[i].q
    if Q[q] == nil and not seen[q] then
      seen[q] = true
      wanted[#wanted + 1] = spack('>I4', q)
    end
  end
  queues.load(wanted)
  local group_keys, chain_keys = {}, {}
  for i = 1, #fresh do
    local j = fresh[i]
    j.q = Q[j.q]
    -- Of a queue that was removed only records are left that readers of the log need.
    if not j.q then
      J[j.s] = false
    else
      local group_key = j.q.k .. j.group
      if G[group_key] == nil then
        G[group_key] = false
        group_keys[#group_keys + 1] = group_key
      end
      if j.key then
        local chain_key = j.q.k .. j.key
        if C[chain_key] == nil then
          C[chain_key] = false
          chain_keys[#chain_keys + 1] = chain_key
        end
      end
    end
  end
  groups.load(group_keys)
  chains.load(chain_keys)
end

-- Reads jobs by number; those that are not there are false.
function jobs.load(sids)
  local wanted = {}
  for i = 1, #sids do
    if J[sids[i]] == nil then
      J[sids[i]] = false
      wanted[#wanted + 1] = sids[i]
    end
  end
  if #wanted == 0 then return end
  store.jobs = store.jobs + #wanted
  local records, standings = read_many(K.job, wanted), read_many(K.standing, wanted)
  local fresh = {}
  for i = 1, #wanted do
    if records[i] then
      local j = accepted(wanted[i], records[i])
      if standings[i] then stand(j, standings[i]) end
      J[j.s] = j
      fresh[#fresh + 1] = j
    end
  end
  complete(fresh)
end

-- The job of a number that must be there.
function jobs.get(s)
  local j = J[s]
  if j == nil then
    jobs.load({ s })
    j = J[s]
  end
  return j or error('job ' .. number_of(s) .. ' is in a list and nowhere else')
end

-- Reads which jobs have these ids, and then the jobs.
function jobs.load_ids(ids)
  local wanted = {}
  for i = 1, #ids do
    if ID[ids[i]] == nil then
      ID[ids[i]] = false
      wanted[#wanted + 1] = ids[i]
    end
  end
  jobs.load_unknown(wanted)
end

-- The same for ids that nothing is known of.
function jobs.load_unknown(wanted)
  if #wanted == 0 then return end
  store.jobs = store.jobs + #wanted
  local found, sids = read_many(K.id, wanted), {}
  for i = 1, #wanted do
    if found[i] then
      ID[wanted[i]] = found[i]
      sids[#sids + 1] = found[i]
    end
  end
  jobs.load(sids)
end

-- The job of an id, or false.
function jobs.find(id)
  if ID[id] == nil then jobs.load_ids({ id }) end
  local s = ID[id]
  return s and jobs.get(s)
end

function jobs.number(j)
  return number_of(j.s)
end

-- The attempt that evidence is measured by: the newest that started, or the one that is known to be taken.
function jobs.newest_start(j)
  return j.started_under or j.token
end

-- Notes that a job changed.
function jobs.touch(j)
  if not j.changed then
    j.changed = CHANGED
    changed[#changed + 1] = j
  end
end

-- The group of a job.
function jobs.group(j)
  local g = j.g
  if not g then
    g = groups.get(j.q, j.group)
    j.g = g
  end
  return g
end

-- Counts jobs that came, numbered from one to before another.
function jobs.came(from, to)
  while from < to do
    local chunk = floor(from / 1024)
    local next_from = min((chunk + 1) * 1024, to)
    chunks[chunk] = (chunks[chunk] or 0) + next_from - from
    from = next_from
  end
end

-- What stands before the records of jobs that a queue accepts now.
function jobs.prefix(q)
  return spack('>I4I8', q.ix, now)
end

-- Makes a job of a new record, which is complete but for this prefix, and takes it in. Whoever does so counts it.
function jobs.admit(q, prefix, blob, id, key)
  local number = meta[NEXT_SEQ]
  meta[NEXT_SEQ] = number + 1
  local s, record, j = sid_of(number), prefix .. blob, nil
  if sub(blob, REST_AT, GROUP_AT - PREFIX) == NO_REST then
    j = job_of(s, record, q, id, key, '', now, byte(blob, PRIORITY_AT - PREFIX))
  else
    j = accepted(s, record)
    j.q = q
    if j.expires then times.put(expiries, s, j.expires) end
  end
  j.changed = NEW
  changed[#changed + 1] = j
  J[s], ID[id] = j, s
  local g = groups.get(q, j.group)
  j.g = g
  g.r[GROUP_JOBS] = g.r[GROUP_JOBS] + 1
  if not g.changed then groups.touch(g) end
  return j
end

-- A final job is kept no longer.
function jobs.forget(j)
  turns.leave(j)
  if j.expires then times.drop(expiries, j.s) end
  j.gone, ID[j.id] = true, false
  J[j.s], ENDED[j.s] = false, nil
  jobs.touch(j)
  local chunk = floor(jobs.number(j) / 1024)
  chunks[chunk] = (chunks[chunk] or 0) - 1
  local g = jobs.group(j)
  g.r[GROUP_JOBS] = g.r[GROUP_JOBS] - 1
  groups.touch(g)
  groups.drop_if_empty(g)
end

-- Remembers of a job that ended what is needed to forget it.
function jobs.ended(j)
  ENDED[j.s] = j.id .. j.group
end

-- Reads what is needed to forget kept jobs.
function jobs.load_kept(sids)
  local wanted = {}
  for i = 1, #sids do
    if not J[sids[i]] and not ENDED[sids[i]] then wanted[#wanted + 1] = sids[i] end
  end
  if #wanted == 0 then return end
  local records = read_many(K.job, wanted)
  for i = 1, #wanted do
    local record = records[i]
    if record then kept_ids[wanted[i]] = sub(record, ID_AT, ID_AT + 15) .. sunpack('>Bc0', record, GROUP_AT) end
  end
end

-- Forgets the oldest of a queue's kept jobs of a kind.
function jobs.forget_first(q, n)
  local kept = queues.kept_list(q, n)
  local s = list.first(kept)
  local known = not J[s] and (ENDED[s] or kept_ids[s])
  if not known then return jobs.forget(jobs.get(s)) end
  local phase, id = PHASE_KEPT[n], sub(known, 1, 16)
  list.take(kept)
  if SOUGHT[phase] then times.drop(sought, s) end
  q.r[PHASE + phase] = q.r[PHASE + phase] - 1
  if not q.changed then queues.touch(q) end
  J[s], ID[id], ENDED[s] = false, false, nil
  forgotten[#forgotten + 1], forgotten[#forgotten + 2] = s, id
  local chunk = floor(number_of(s) / 1024)
  chunks[chunk] = (chunks[chunk] or 0) - 1
  local g = groups.get(q, sub(known, 17))
  g.r[GROUP_JOBS] = g.r[GROUP_JOBS] - 1
  if not g.changed then groups.touch(g) end
  if g.r[GROUP_JOBS] == 0 then groups.drop_if_empty(g) end
end

function jobs.store()
  local records, standings, ids = {}, {}, {}
  local no_records, no_standings, no_ids, gone = {}, {}, {}, {}
  for i = 1, #changed do
    local j = changed[i]
    local standing
    if j.gone then
      -- Another job may have the id by now.
      if not ID[j.id] and j.changed ~= NEW then no_ids[#no_ids + 1] = j.id end
      if jobs.number(j) >= meta[FREE_SEQ] then
        gone[#gone + 1] = j.s
        if j.changed == NEW then records[#records + 1] = j.s; records[#records + 1] = j.record end
      elseif j.changed ~= NEW then
        no_records[#no_records + 1] = j.s
      end
    else
      if j.changed == NEW then
        records[#records + 1] = j.s
        records[#records + 1] = j.record
        ids[#ids + 1] = j.id
        ids[#ids + 1] = j.s
      end
      standing = standing_of(j)
    end
    if standing then
      if standing ~= j.stored then
        standings[#standings + 1] = j.s
        standings[#standings + 1] = standing
      end
    elseif j.stored then
      no_standings[#no_standings + 1] = j.s
    end
    j.stored = standing or false
  end
  for i = 1, #forgotten, 2 do
    local s, id = forgotten[i], forgotten[i + 1]
    if not ID[id] then no_ids[#no_ids + 1] = id end
    no_standings[#no_standings + 1] = s
    if number_of(s) >= meta[FREE_SEQ] then
      gone[#gone + 1] = s
    else
      no_records[#no_records + 1] = s
    end
  end
  run_many('HDEL', K.id, no_ids)
  run_many('HSET', K.job, records)
  run_many('HSET', K.id, ids)
  run_many('HSET', K.standing, standings)
  run_many('HDEL', K.standing, no_standings)
  run_many('HDEL', K.job, no_records)
  run_many('RPUSH', K.gone, gone)
  for chunk, by in pairs(chunks) do
    if by ~= 0 then
      local left = run('HINCRBY', K.chunk, chunk, by)
      if left == by and by > 0 then
        run('ZADD', K.chunks, chunk, chunk)
      elseif left <= 0 then
        run('HDEL', K.chunk, chunk)
        run('ZREM', K.chunks, chunk)
      end
    end
  end
end

-- A forgotten job; another may have its id by now.
local function put_away(s, id)
  if not J[s] then J[s] = nil end
  if not ID[id] then ID[id] = nil end
end

-- All is stored: jobs as the next call finds them.
function jobs.rest()
  for i = 1, #changed do
    local j = changed[i]
    if not j.gone then
      j.changed = false
    else
      put_away(j.s, j.id)
    end
    -- Of what has ended nothing more is asked soon.
    if FINAL[j.phase] and not j.gone then
      J[j.s], ID[j.id] = nil, nil
      store.jobs = store.jobs - 1
    end
  end
  for i = 1, #forgotten, 2 do put_away(forgotten[i], forgotten[i + 1]) end
end
