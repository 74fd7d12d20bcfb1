-- The jobs of one key in one queue: a chain in the order of arrival, of which only the first may go.
--
-- An urgent job behind others of its key lends them its priority, so that order does not hold it back for long. A later
-- job passes those before it that wait in a paused group and were never started (see `machine/chain.rs`).
--
-- A chain is stored as its first and last job, or as its only one, and an only one is held as just its number here, too:
-- most chains are never longer. Its jobs name their neighbours: all but the first have one before them. The keys of
-- chains of several jobs are in a set of the queue's, the crowd: they are looked at when a group is paused or resumed.

-- Keys of chains that changed in this call, some of them several times.
local touched

function chains.begin()
  touched = {}
end

local function touch(chain)
  if not chain.changed then
    chain.changed = true
    touched[#touched + 1] = chain.k
  end
end

local function chain_of(k, first, last)
  return { k = k, first = first, last = last, changed = false }
end

-- Reads chains by key: a queue's packed number and a job's key.
function chains.load(chain_keys)
  if #chain_keys == 0 then return end
  local ends = read_many(K.chain, chain_keys)
  for i = 1, #chain_keys do
    local k, stored = chain_keys[i], ends[i]
    if stored then C[k] = #stored > 6 and chain_of(k, sub(stored, 1, 6), sub(stored, 7)) or stored end
  end
end

-- Which keys came to have several jobs in a queue, or to have no longer.
local function crowd(q)
  if not q.crowd then q.crowd = {} end
  queues.touch(q)
  return q.crowd
end

local function is_number(chain)
  return chain and type(chain) == 'string'
end

-- What is held of a chain: false, the number of its only job, or the chain.
local function held(k)
  if C[k] == nil then
    C[k] = false
    chains.load({ k })
  end
  return C[k]
end

-- The chain of a key, or false.
function chains.get(q, key)
  local k = q.k .. key
  local chain = held(k)
  if is_number(chain) then
    chain = chain_of(k, chain, chain)
    C[k] = chain
  end
  return chain
end

-- Raises the jobs before an urgent one in its chain to its priority.
local function lend_priority(first, urgent)
  local j = jobs.get(first)
  while j ~= urgent do
    if j.lane > urgent.lane then
      if j.phase == READY then
        local when = j.when
        turns.leave(j)
        j.lane = urgent.lane
        turns.enter(j, READY, when)
      else
        j.lane = urgent.lane
        jobs.touch(j)
      end
    end
    j = jobs.get(j.behind)
  end
end

-- Since when a job waits that is appended to a chain: later than the one before it.
local function place_behind(chain, last, j, when)
  if last.when < when or last.when == when and jobs.number(last) < jobs.number(j) then return when end
  if chain.first == chain.last then return when end
  return after(last.when, jobs.number(last) > jobs.number(j) and 1 or 0)
end

-- Appends a job to its key's chain and lets it wait: ready if it is the first.
function chains.append(j, when)
  if not j.key then return turns.enter(j, READY, when) end
  local q = j.q
  local k = q.k .. j.key
  if not held(k) then
    C[k] = j.s
    touched[#touched + 1] = k
    return turns.enter(j, READY, when)
  end
  local chain = chains.get(q, j.key)
  local last = jobs.get(chain.last)
  when = place_behind(chain, last, j, when)
  if chain.first == chain.last then crowd(q)[j.key] = true end
  last.behind, j.before = j.s, last.s
  jobs.touch(last)
  chain.last = j.s
  touch(chain)
  local lends = j.lane < last.lane
  turns.enter(j, BLOCKED, when)
  if lends then lend_priority(chain.first, j) end
  chains.let_pass(j)
end

local let_pass

-- Takes a job out of its key's chain; if it was the first, the next one becomes ready.
function chains.take(j)
  if not j.key then return end
  local k = j.q.k .. j.key
  if held(k) == j.s then
    C[k] = false
    touched[#touched + 1] = k
    return
  end
  local chain = chains.get(j.q, j.key)
  -- It is in none, or in none any more.
  if not chain or chain.first ~= j.s and not j.before then return end
  local before, behind = j.before and jobs.get(j.before), j.behind and jobs.get(j.behind)
  j.before, j.behind = false, false
  jobs.touch(j)
  touch(chain)
  if not before and not behind then
    C[k] = false
    return
  end
  if before then
    before.behind = behind and behind.s
    jobs.touch(before)
  else
    chain.first = behind.s
  end
  if behind then
    behind.before = before and before.s
    jobs.touch(behind)
  else
    chain.last = before.s
  end
  if chain.first == chain.last then crowd(j.q)[j.key] = false end
  if not before and behind.phase == BLOCKED then turns.shift(behind, READY, behind.when) end
  let_pass(j.q, chain)
end

-- Whether a job waits in a paused group and was never started.
local function lets_others_pass(j)
  return WAITS[j.phase] and jobs.newest_start(j) == 0 and jobs.group(j).r[GROUP_PAUSED] == 1
end

-- Since when a job waits that is the first no more: earlier than the next one.
local function since_before_next(j)
  local since = min(j.when, now)
  if not j.behind then return since end
  local behind = jobs.get(j.behind)
  if since < behind.when or since == behind.when and jobs.number(j) < jobs.number(behind) then return since end
  return behind.when - (jobs.number(j) > jobs.number(behind) and 1 or 0)
end

-- Makes a job, which is not the first of its chain, the first.
local function pass(chain, j)
  local first, before, behind = jobs.get(chain.first), jobs.get(j.before), j.behind and jobs.get(j.behind)
  before.behind = behind and behind.s
  if behind then behind.before = before.s else chain.last = before.s end
  first.before, j.before, j.behind, chain.first = j.s, false, first.s, j.s
  touch(chain)
  jobs.touch(before)
  if behind then jobs.touch(behind) end
  -- The first of a chain is the most urgent.
  j.lane = min(j.lane, first.lane)
  turns.leave(first)
  turns.enter(first, BLOCKED, since_before_next(first))
  turns.shift(j, READY, j.when)
end

let_pass = function(q, chain)
  if #q.r[PAUSED_GROUPS] == 0 then return end
  local j = jobs.get(chain.first)
  while lets_others_pass(j) do
    if not j.behind then return end
    j = jobs.get(j.behind)
    if not lets_others_pass(j) then
      if jobs.group(j).r[GROUP_PAUSED] == 0 then pass(chain, j) end
      return
    end
  end
end

-- Lets the job of a job's chain pass that may, if the first waits in a paused group.
function chains.let_pass(j)
  if not j.key or #j.q.r[PAUSED_GROUPS] == 0 then return end
  local chain = chains.get(j.q, j.key)
  if chain then let_pass(j.q, chain) end
end

-- The jobs of a group that stand with others in the chains of these keys and that are blocked, or are not.
local function standing_with_others(g, keys_of_chains, blocked)
  local chain_keys, sids, found = {}, {}, {}
  for i = 1, #keys_of_chains do
    local k = g.q.k .. keys_of_chains[i]
    if C[k] == nil then
      C[k] = false
      chain_keys[#chain_keys + 1] = k
    end
  end
  chains.load(chain_keys)
  for i = 1, #keys_of_chains do
    local chain = chains.get(g.q, keys_of_chains[i])
    if chain then sids[#sids + 1] = chain.first end
  end
  while #sids > 0 do
    jobs.load(sids)
    local behind = {}
    for i = 1, #sids do
      local j = jobs.get(sids[i])
      if j.behind then behind[#behind + 1] = j.behind end
      local with_others = j.before or j.behind
      if with_others and j.group == g.name and (j.phase == BLOCKED) == blocked then found[#found + 1] = j end
    end
    sids = behind
  end
  return found
end

-- Lets jobs pass wherever it makes a difference that a group is paused (it is where its jobs are the first of their
-- chains) or resumed (where they are not), in the order of arrival. Of a large crowd, those whose turn it is from a
-- place on; answers where to go on, or false at the end.
function chains.let_all_pass(g, from)
  local key, next_from, members = K.crowd .. g.q.k, false, nil
  if from or run('SCARD', key) > MOST_DUE then
    local part = run('SSCAN', key, from or 0, 'COUNT', MOST_DUE)
    members, next_from = part[2], part[1] ~= '0' and part[1]
  else
    members = queues.members(key, crowd(g.q))
  end
  local found = standing_with_others(g, members, g.r[GROUP_PAUSED] == 0)
  sort(found, function(a, b) return jobs.number(a) < jobs.number(b) end)
  for i = 1, #found do chains.let_pass(found[i]) end
  return next_from
end

-- The first job of a job's chain.
function chains.first(j)
  local chain = j.key and chains.get(j.q, j.key)
  return chain and jobs.get(chain.first) or j
end

function chains.store()
  local dropped, ends = {}, {}
  for i = 1, #touched do
    local k = touched[i]
    local chain = C[k]
    if not chain then
      dropped[#dropped + 1] = k
    else
      local n = #ends
      ends[n + 1] = k
      if is_number(chain) then
        ends[n + 2] = chain
      else
        ends[n + 2] = chain.first == chain.last and chain.first or chain.first .. chain.last
      end
    end
  end
  run_many('HDEL', K.chain, dropped)
  run_many('HSET', K.chain, ends)
end

-- All is stored: chains as the next call finds them.
function chains.rest()
  for i = 1, #touched do
    local k = touched[i]
    local chain = C[k]
    if not chain then
      C[k] = nil
    elseif not is_number(chain) then
      chain.changed = false
    end
  end
end
