-- What producers and workers do: enqueue, lease, start, renew.

local ACCEPTED_JOB, DUPLICATE, CONFLICT = 0, 1, 2

local REQUEST = '>c16c8I8'

-- Requests that are remembered no more.
local forgotten

function operate.begin()
  forgotten = {}
end

-- Reads what is remembered of requests.
function operate.load_requests(ids)
  local wanted = {}
  for i = 1, #ids do
    if R[ids[i]] == nil then
      R[ids[i]] = false
      wanted[#wanted + 1] = ids[i]
    end
  end
  if #wanted == 0 then return end
  local requests = read_many(K.request, wanted)
  for i = 1, #wanted do
    if requests[i] then
      local of, fingerprint, till = sunpack(REQUEST, requests[i])
      R[wanted[i]] = { of, fingerprint, till, changed = false }
    end
  end
end

-- The request that is remembered by an id: { job's id, fingerprint, until }, or false.
local function remembered(id)
  if R[id] == nil then operate.load_requests({ id }) end
  return R[id]
end

-- Forgets a request whose time is over.
function operate.forget_request(id)
  local request = remembered(id)
  times.drop(forgets, id)
  if request and request[3] <= now then
    R[id] = false
    forgotten[#forgotten + 1] = id
  end
end

local function remember(id, of, fingerprint, ttl)
  local known, till = remembered(id), after(now, ttl)
  if known and known[3] >= till then return end
  R[id] = { of, fingerprint, till, changed = true }
  times.put(forgets, id, till)
end

function operate.store_requests()
  local requests = {}
  for id, request in pairs(R) do
    if request and request.changed then
      requests[#requests + 1] = id
      requests[#requests + 1] = spack(REQUEST, request[1], request[2], request[3])
    end
  end
  run_many('HDEL', K.request, forgotten)
  run_many('HSET', K.request, requests)
  R, forgotten = {}, {}
end

-- What a job is instead of new, and of which job it is the duplicate; nil where it is new. `identities` is what its
-- request is known by, { id, fingerprint, for how long, … }: the first that came before decides.
local function known_as(id, identities)
  for i = 1, #identities, 3 do
    local known = remembered(identities[i])
    if known and known[3] > now then
      return known[2] == identities[i + 1] and DUPLICATE or CONFLICT, known[1]
    end
  end
  if ID[id] ~= false and jobs.find(id) then return DUPLICATE, id end
  return nil
end

local NO_IDENTITIES = {}

-- Queues jobs: names of queues, the place of each job's, what each request is known by, what new queues allow, and the
-- records after `blobs[from]`, with the ids and keys in them.
-- Answers nothing where all were accepted, else { place, what, of, … } for the others.
function operate.enqueue(names, of_name, identities, limits, blobs, from, ids, job_keys)
  local first, others, of_place, prefixes = meta[NEXT_SEQ], {}, {}, {}
  for i = 1, #of_name do
    local place, id, known_by = of_name[i], ids[i], identities[i] or NO_IDENTITIES
    local what, of = known_as(id, known_by)
    if what then
      meta[HITS] = meta[HITS] + 1
      others[#others + 1], others[#others + 2], others[#others + 3] = i, what, of
    else
      local q = of_place[place]
      if not q then
        q = queues.named(names[place]) or queues.create(names[place], limits)
        of_place[place], prefixes[place] = q, jobs.prefix(q)
      end
      local j = jobs.admit(q, prefixes[place], blobs[from + i], id, job_keys[i])
      for n = 1, #known_by, 3 do remember(known_by[n], id, known_by[n + 1], known_by[n + 2]) end
      q.r[ACCEPTED] = q.r[ACCEPTED] + 1
      if j.due then turns.enter(j, SCHEDULED, j.due) else chains.append(j, now) end
    end
  end
  if meta[NEXT_SEQ] > first then
    jobs.came(first, meta[NEXT_SEQ])
    facts.enqueued(first, meta[NEXT_SEQ] - first)
  end
  return others
end

-- The attempt begins, under a lease that ends at `till`.
local function begin(j, token, till)
  local q = j.q
  if j.started_under then j.started_under = false end
  j.token = token
  j.attempts = min(j.attempts + 1, 65535)
  turns.shift(j, STARTED, till)
  q.r[STARTS] = q.r[STARTS] + 1
  if #q.limits.windows > 0 then windows.record(q) end
  if j.key then
    if q.limits.pair then pairs_of.record(q, j.key) end
    local b = q.limits.budget and jobs.spends(j) and budgets.of_queue(q)
    if b then
      budgets.record(b, j.key)
      budgets.let_key_go(b, j.key)
    end
  end
  facts.began(j)
end

-- An open breaker whose time has come: this job is its probe.
local function probe_if_open(j)
  local r = j.q.r
  if r[BREAKER] == OPEN then r[BREAKER], r[BREAKER_VALUE] = HALF_OPEN, j.s end
end

local function lease_one(j, lease, start, answer)
  local q, token = j.q, j.token + 1
  probe_if_open(j)
  if #q.limits.windows > 0 then windows.take_slice(q) end
  -- A start is never given less time than a call may take.
  local least = start and q.limits.deadline + q.limits.lease_margin or 0
  local till = after(now, max(lease, least))
  if start then
    begin(j, token, till)
  else
    if not j.started_under then j.started_under = j.token end
    j.token = token
    turns.shift(j, LEASED, till)
  end
  local n = #answer
  answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = view.named(q), token, j.attempts + (start and 0 or 1), till
  told[#told + 1] = j
end

-- Leases up to `most` jobs of a pool that may start now, and starts them where asked: { queue, token, tries, until, … }.
function operate.lease(pool, most, lease, start)
  local answer, turn, given = {}, { aside = 0 }, 0
  while given < most do
    want = min(most - given, 256)
    local j = turns.next_of_pool(pool, turn)
    if j then
      lease_one(j, lease, start, answer)
      given = given + 1
    elseif turn.aside >= MOST_ASIDE or not meta[POOLS][pool] or not budgets.offer_places() then
      -- A place in a budget may have been offered to jobs that can't go for other reasons.
      break
    end
  end
  if given == 0 and turn.aside >= MOST_ASIDE then gave_up = true end
  return answer
end

-- The job of a lease, if it is the newest of its job and has not ended.
function operate.leased(id, token)
  local s = ID[id]
  local j = s and J[s] or jobs.find(id)
  if not j then return nil end
  if j.token == token and (j.phase == LEASED or j.phase == STARTED) then return j end
  j.q.r[STALE] = j.q.r[STALE] + 1
  queues.touch(j.q)
  return nil
end

-- Marks that an attempt begins.
function operate.start(id, token)
  local j = operate.leased(id, token)
  if not j then return STALE_LEASE end
  -- Its worker repeats a call whose answer it did not get: the attempt began, once.
  if j.phase == STARTED then return FINE end
  local q, till = j.q, j.when
  if after(now, q.limits.deadline + q.limits.lease_margin) > till then return TOO_LATE end
  if j.expires and j.expires <= now then
    settle.conclude(j, EXPIRED)
    return TAKEN_BACK
  end
  local paused = jobs.group(j).r[GROUP_PAUSED] == 1
  local not_probe = q.r[BREAKER] == HALF_OPEN and q.r[BREAKER_VALUE] ~= j.s
  if paused or not_probe or queues.gate(q, 1) or turns.key_restraint(j) then
    settle.probe_is_over(j)
    settle.give_back(j, false)
    return TAKEN_BACK
  end
  probe_if_open(j)
  begin(j, token, till)
  return FINE
end

-- Prolongs a lease.
function operate.renew(id, token, by)
  local j = operate.leased(id, token)
  if not j then return STALE_LEASE end
  turns.hold_until(j, after(now, by))
  return FINE
end
