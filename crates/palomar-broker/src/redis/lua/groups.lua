-- Groups: jobs of a queue that share a turn; the jobs without a group share one too.
--
-- A group is known by its queue's packed number and what its jobs say of it: nothing, or one byte and its name. It is
-- stored while a job refers to it, while it is paused, and while a ring names it.

-- Groups that changed in this call, and those whose lanes were looked at.
local touched, laned

function groups.begin()
  touched, laned = {}, {}
end

-- Reads groups by key: a queue's packed number, and what its jobs say of their group.
function groups.load(group_keys)
  if #group_keys == 0 then return end
  store.queues = store.queues + #group_keys
  local records = read_many(K.group, group_keys)
  for i = 1, #group_keys do
    if records[i] then
      local ix = sunpack('>I4', group_keys[i])
      G[group_keys[i]] = groups.of(Q[ix], sub(group_keys[i], 5), unpack_msg(records[i]))
    end
  end
end

function groups.of(q, name, r)
  return { k = q.k .. name, name = name, q = q, r = r, lanes = { false, false, false, false }, changed = false }
end

-- The group of a queue, or false.
function groups.known(q, name)
  local k = q.k .. name
  if G[k] == nil then
    G[k] = false
    groups.load({ k })
  end
  return G[k]
end

-- The group of a queue, created where there is none.
function groups.get(q, name)
  local g = groups.known(q, name)
  if not g then
    g = groups.of(q, name, { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 })
    G[g.k] = g
    groups.touch(g)
  end
  return g
end

function groups.touch(g)
  if not g.changed then
    g.changed = true
    touched[#touched + 1] = g
  end
end

-- The lane of a group and priority.
function groups.lane(g, p)
  local lane = g.lanes[p]
  if not lane then
    lane = list.of(K.lane .. p .. g.k, g.r[LANE + p], g.r[LANE_GHOSTS + p], jobs.load)
    g.lanes[p] = lane
    laned[#laned + 1] = g
  end
  return lane
end

function groups.waiting(g, p)
  local lane = g.lanes[p]
  return lane and lane.len or g.r[LANE + p]
end

-- Forgets a group that holds nothing.
function groups.drop_if_empty(g)
  local r = g.r
  if r[GROUP_JOBS] > 0 or r[GROUP_PAUSED] == 1 then return end
  for p = 1, 4 do
    if r[GROUP_RING + p] == 1 then return end
  end
  groups.drop(g)
end

function groups.drop(g)
  g.dropped = true
  dropped_groups[#dropped_groups + 1] = g
  G[g.k] = false
end

local function store_group(g, records)
  for p = 1, 4 do
    local lane = g.lanes[p]
    if lane then
      list.store(lane)
      g.r[LANE + p], g.r[LANE_GHOSTS + p] = lane.len, lane.ghosts
    end
  end
  records[#records + 1] = g.k
  records[#records + 1] = pack(g.r)
end

function groups.store()
  local records, dropped = {}, {}
  for i = 1, #dropped_groups do
    local g = dropped_groups[i]
    for p = 1, 4 do
      if g.lanes[p] then list.store(g.lanes[p]) end
    end
    dropped[#dropped + 1] = g.k
  end
  for i = 1, #touched do
    local g = touched[i]
    if G[g.k] == g then store_group(g, records) end
  end
  run_many('HDEL', K.group, dropped)
  run_many('HSET', K.group, records)
end

-- All is stored: groups as the next call finds them.
function groups.rest()
  for i = 1, #touched do touched[i].changed = false end
  for i = 1, #laned do
    local lanes = laned[i].lanes
    lanes[1], lanes[2], lanes[3], lanes[4] = false, false, false, false
  end
  for i = 1, #dropped_groups do
    local k = dropped_groups[i].k
    if not G[k] then
      G[k] = nil
    end
  end
end
