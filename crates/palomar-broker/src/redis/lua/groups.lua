-- Groups: jobs of a queue that share a turn; the jobs without a group share one too.
--
-- A group is known by its queue's packed number and what its jobs say of it: nothing, or one byte and its name. It is
-- stored while a job refers to it, while it is paused, and while a ring names it.

-- Reads groups by key: a queue's packed number, and what its jobs say of their group.
function groups.load(group_keys)
  if #group_keys == 0 then return end
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
  g.changed = true
end

-- The lane of a group and priority.
function groups.lane(g, p)
  local lane = g.lanes[p]
  if not lane then
    lane = list.of(K.lane .. p .. g.k, g.r[LANE + p], g.r[LANE_GHOSTS + p], jobs.load)
    g.lanes[p] = lane
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
  for _, g in pairs(G) do
    if g and g.changed then store_group(g, records) end
  end
  run_many('HDEL', K.group, dropped)
  run_many('HSET', K.group, records)
end
