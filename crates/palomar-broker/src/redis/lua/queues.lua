-- Queues: what they allow, what holds them, whose turn it is.
--
-- A queue's record is a packed array, used as it is (see `layout`). Its limits are stored apart, because they change
-- rarely; what they say is remembered by their bytes.

-- A priority that waits gets one start for so many of the others.
local TURNS_OWED_AFTER = 17
-- What limits say, by their bytes: the same for all queues that have the same, and never changed.
local known_limits, limits_known = {}, 0

-- Queues that changed in this call, and those of which something was looked at that is put away at its end.
local touched, used

function queues.begin()
  touched, used = {}, {}
end

local function limits_of(bytes)
  local limits = known_limits[bytes]
  if not limits then
    local l = unpack_msg(bytes)
    limits = {
      bytes = bytes, windows = l[1], margin = l[2], pair = l[3], concurrency = l[4], budget = l[5], failures = l[6],
      open_for = l[7], deadline = l[8], lease_margin = l[9], order_wait = l[10], uncertain_wait = l[11],
      throttle_wait = l[12],
    }
    if limits_known >= 4096 then known_limits, limits_known = {}, 0 end
    known_limits[bytes], limits_known = limits, limits_known + 1
  end
  return limits
end

local function queue_of(k, ix, r, limits)
  local q = {
    k = k, ix = ix, r = r, limits = limits, windows = false, paced = false, changed = false,
    used = false, new_limits = false, parked = false, kept = { false, false, false, false }, pacing = false, crowd = false,
  }
  q.pool = sub(r[NAME], 1, find(r[NAME], '/', 1, true) - 1)
  return q
end

-- Reads queues by number, packed.
function queues.load(ks)
  if #ks == 0 then return end
  store.queues = store.queues + #ks
  local records, limits = read_many(K.queue, ks), read_many(K.limits, ks)
  for i = 1, #ks do
    local ix = sunpack('>I4', ks[i])
    Q[ix] = records[i] and queue_of(ks[i], ix, unpack_msg(records[i]), limits_of(limits[i])) or false
  end
end

-- Reads those of these queues that are not known yet, and the groups whose turn it is in them.
function queues.load_fresh(ks)
  local fresh = {}
  for i = 1, #ks do
    if Q[sunpack('>I4', ks[i])] == nil then fresh[#fresh + 1] = ks[i] end
  end
  queues.load(fresh)
  local group_keys = {}
  for i = 1, #fresh do
    local q = Q[sunpack('>I4', fresh[i])]
    for p = 1, 4 do
      local name = q and q.r[RINGS + p][1]
      if name and G[q.k .. name] == nil then
        G[q.k .. name] = false
        group_keys[#group_keys + 1] = q.k .. name
      end
    end
  end
  groups.load(group_keys)
end

-- Reads which queues have these names, and then the queues.
function queues.load_names(names)
  local wanted = {}
  for i = 1, #names do
    if QN[names[i]] == nil then
      QN[names[i]] = false
      wanted[#wanted + 1] = names[i]
    end
  end
  if #wanted == 0 then return end
  store.queues = store.queues + #wanted
  local found, ks = read_many(K.name, wanted), {}
  for i = 1, #wanted do
    if found[i] then
      local ix = sunpack('>I4', found[i])
      QN[wanted[i]] = ix
      if Q[ix] == nil then ks[#ks + 1] = found[i] end
    end
  end
  queues.load(ks)
end

-- The queue of a name, or false.
function queues.named(name)
  if QN[name] == nil then queues.load_names({ name }) end
  local ix = QN[name]
  return ix and Q[ix]
end

-- The queue of a packed number, or false.
function queues.of_key(k)
  local ix = sunpack('>I4', k)
  if Q[ix] == nil then queues.load({ k }) end
  return Q[ix]
end

function queues.create(name, limits)
  local ix = meta[NEXT_QUEUE]
  meta[NEXT_QUEUE] = ix + 1
  local r = {}
  for i = 1, RECORD_LENGTH do r[i] = 0 end
  r[NAME], r[PAUSED], r[PAUSED_GROUPS], r[WINDOWS], r[RATE_HELD] = name, false, {}, {}, {}
  for p = 1, 4 do r[RINGS + p] = {} end
  local q = queue_of(spack('>I4', ix), ix, r, limits_of(limits))
  Q[ix], QN[name], q.windows = q, ix, {}
  meta[POOLS][q.pool] = true
  queues.configure(q, limits)
  return q
end

-- Changes what a queue allows. Loses no place.
function queues.configure(q, limits)
  limits = limits_of(limits)
  if limits.budget then budgets.configure(limits.budget) end
  windows.configure(q, limits.windows)
  q.limits, q.new_limits = limits, true
  queues.touch(q)
  turns.unpark(q, FOREVER)
  turns.unpace(q)
  turns.wake(q)
end

-- Forgets a queue that holds no live job.
function queues.remove(q)
  local r = q.r
  for n = 1, 4 do
    while queues.kept_count(q, n) > 0 do jobs.forget(jobs.get(list.first(queues.kept_list(q, n)))) end
  end
  if r[IN_RING] == 1 then list.remove(turns.ring(q.pool), q.k) end
  if r[GATED] ~= 0 then times.drop(gates, q.k) end
  local names = r[PAUSED_GROUPS]
  for p = 1, 4 do
    for i = 1, #r[RINGS + p] do names[#names + 1] = r[RINGS + p][i] end
  end
  for i = 1, #names do
    local g = groups.known(q, names[i])
    if g then groups.drop(g) end
  end
  windows.drop(q)
  Q[q.ix], QN[r[NAME]] = false, false
  removed_queues[#removed_queues + 1] = q
end

-- Something of a queue is looked at that is put away at the end of the call.
function queues.use(q)
  if not q.used then
    q.used = true
    used[#used + 1] = q
  end
end

function queues.touch(q)
  if not q.changed then
    q.changed = true
    touched[#touched + 1] = q
    queues.use(q)
  end
end

-- The list of parked jobs, or of kept jobs of a final phase.
local function list_at(q, place, ghosts, key, on_read)
  queues.use(q)
  return list.of(key .. q.k, q.r[place], q.r[ghosts], on_read)
end

function queues.parked_list(q)
  if not q.parked then q.parked = list_at(q, PARKED_LIST, PARKED_GHOSTS, K.parked, jobs.load) end
  return q.parked
end

function queues.kept_list(q, n)
  if not q.kept[n] then
    q.kept[n] = list_at(q, KEPT_LISTS + n, KEPT_GHOSTS + n, K.kept .. n, jobs.load_kept)
  end
  return q.kept[n]
end

function queues.parked_count(q)
  return q.parked and q.parked.len or q.r[PARKED_LIST]
end

function queues.kept_count(q, n)
  return q.kept[n] and q.kept[n].len or q.r[KEPT_LISTS + n]
end

function queues.leased(q)
  return q.r[PHASE + LEASED]
end

function queues.started(q)
  return q.r[PHASE + STARTED]
end

-- Until when a queue may start no job: nil where it may now, FOREVER until something happens. `own` is the number of
-- unstarted leases that the question is about: 1 when a leased job asks whether it may start. And what holds its rate
-- then: a window, or 0 for the other side, where it is one of these.
function queues.gate(q, own)
  local r, limits, till, by = q.r, q.limits, nil, nil
  if r[PAUSED] then return FOREVER end
  local breaker = r[BREAKER]
  if breaker == OPEN and r[BREAKER_VALUE] > now then
    till = r[BREAKER_VALUE]
  elseif breaker == HALF_OPEN and own == 0 then
    return FOREVER
  end
  if r[THROTTLED] > now and (not till or r[THROTTLED] >= till) then till, by = r[THROTTLED], 0 end
  if own == 0 and r[PHASE + LEASED] + r[PHASE + STARTED] >= limits.concurrency then return FOREVER end
  if #limits.windows > 0 then
    local free, window = windows.free_at(q, own == 0 and r[PHASE + LEASED] or 0, own == 0)
    if free >= FOREVER then return FOREVER end
    if free > now and (not till or free >= till) then till, by = free, window end
  end
  return till, by
end

-- A queue is shut until a time that is known; from now on its rate is held, where it has work.
function queues.shut(q, till, by)
  local r = q.r
  r[GATED] = till
  times.put(gates, q.k, till)
  if by and r[PHASE + READY] > 0 then
    r[HELD_SINCE], r[HELD_BY] = now, by ~= 0 and { by.max, by.window } or 0
  else
    r[HELD_SINCE] = 0
  end
  queues.touch(q)
end

-- How long a queue's rate was held until now.
function queues.held(q)
  local r, held, most, window = q.r, {}, 0, 0
  for i = 1, #r[RATE_HELD] do held[i] = r[RATE_HELD][i] end
  if r[HELD_SINCE] == 0 then return held end
  if r[HELD_BY] ~= 0 then most, window = r[HELD_BY][1], r[HELD_BY][2] end
  local at = 1
  while held[at] and (held[at] ~= most or held[at + 1] ~= window) do at = at + 3 end
  held[at], held[at + 1], held[at + 2] = most, window, (held[at + 2] or 0) + now - r[HELD_SINCE]
  return held
end

-- A queue that was shut is looked at again.
function queues.open(q)
  times.drop(gates, q.k)
  local r = q.r
  r[RATE_HELD] = queues.held(q)
  r[GATED], r[HELD_SINCE] = 0, 0
  queues.touch(q)
end

-- Which priority goes next, of those that wait; nil where none does.
function queues.next_priority(q, waiting)
  local r = q.r
  for p = 4, 1, -1 do
    if waiting[p] and r[OWED + p] >= TURNS_OWED_AFTER then return p end
  end
  for p = 1, 4 do
    if waiting[p] then return p end
  end
end

-- A final job is not final any more, or not as it was: what was counted for it is taken back.
function queues.take_back(q, phase)
  local tally, place = DEADS, 1
  if phase == CANCELLED then tally, place = CANCELS, 2 elseif phase == EXPIRED then tally, place = EXPIRED_JOBS, 3 end
  q.r[tally] = q.r[tally] - 1
  q.r[UNDONE + place] = q.r[UNDONE + place] + 1
  queues.touch(q)
end

-- Notes that a job of a priority went while those of `waiting` waited.
function queues.took_turn(q, priority, waiting)
  local r = q.r
  for p = 2, 4 do
    if p == priority then
      r[OWED + p] = max(r[OWED + p] - TURNS_OWED_AFTER, 0)
    elseif waiting[p] then
      r[OWED + p] = min(r[OWED + p] + 1, 2 * TURNS_OWED_AFTER)
    else
      r[OWED + p] = 0
    end
  end
end

-- Writes who came into a set and who left it.
local function store_members(key, members)
  local added, dropped = {}, {}
  for member, is_in in pairs(members) do
    if is_in then added[#added + 1] = member else dropped[#dropped + 1] = member end
  end
  run_many('SREM', key, dropped)
  run_many('SADD', key, added)
end

-- The members of a set of a queue's, those included that came in this call.
function queues.members(key, changes)
  local all, held = {}, run('SMEMBERS', key)
  for i = 1, #held do
    if changes[held[i]] == nil then all[#all + 1] = held[i] end
  end
  for member, is_in in pairs(changes) do
    if is_in then all[#all + 1] = member end
  end
  return all
end

local function store_lists(q)
  local r = q.r
  if q.parked then
    list.store(q.parked)
    r[PARKED_LIST], r[PARKED_GHOSTS] = q.parked.len, q.parked.ghosts
  end
  for n = 1, 4 do
    local kept = q.kept[n]
    if kept then
      list.store(kept)
      r[KEPT_LISTS + n], r[KEPT_GHOSTS + n] = kept.len, kept.ghosts
    end
  end
  if q.pacing then store_members(K.pacing .. q.k, q.pacing) end
  if q.crowd then store_members(K.crowd .. q.k, q.crowd) end
end

function queues.store()
  local records, limits, paced = {}, {}, false
  for i = 1, #removed_queues do
    local q = removed_queues[i]
    store_lists(q)
    run('HDEL', K.queue, q.k)
    run('HDEL', K.limits, q.k)
    run('HDEL', K.name, q.r[NAME])
    -- The log may still speak of it.
    run('HSET', K.names, q.k, q.r[NAME])
  end
  for i = 1, #touched do
    local q = touched[i]
    if Q[q.ix] == q then
      store_lists(q)
      if q.windows then windows.store(q) end
      records[#records + 1] = q.k
      records[#records + 1] = pack(q.r)
      if q.new_limits then
        limits[#limits + 1] = q.k
        limits[#limits + 1] = q.limits.bytes
        run('HSET', K.name, q.r[NAME], q.k)
        run('HSET', K.names, q.k, q.r[NAME])
      end
      paced = paced or q.paced
    end
  end
  run_many('HSET', K.queue, records)
  run_many('HSET', K.limits, limits)
  -- Keys that are not ahead of the present any more are as good as unknown.
  if paced then run('ZREMRANGEBYSCORE', K.pair, '-inf', text_of(now)) end
end

-- All is stored: queues as the next call finds them.
function queues.rest()
  for i = 1, #used do
    local q = used[i]
    q.changed, q.used, q.windows, q.paced, q.new_limits = false, false, false, false, false
    q.parked, q.pacing, q.crowd = false, false, false
    local kept = q.kept
    kept[1], kept[2], kept[3], kept[4] = false, false, false, false
  end
end
