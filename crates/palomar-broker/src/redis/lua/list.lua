-- A Redis list as a call sees it: a window of it is read where it is needed, and changes are written at the end.
--
-- Elements leave at the front, come at either end, and may be taken out of the middle. Out of the middle of what Redis
-- holds an element is not removed (that would cost the length of the list): it becomes a *ghost*, named in a set
-- beside the list, and is dropped when it comes to the front. An element that comes back while its ghost is still
-- there has the ghost removed first, so no element stands twice in a list.
--
-- `len` counts what lives; the owner of a list stores `len` and `ghosts` in its own record.

function list.of(key, len, ghosts, on_read)
  return {
    key = key, len = len, ghosts = ghosts, held = len + ghosts, passed = 0, window = false, from = 0,
    front = {}, fronts = 0, back = {}, first_back = 1, last_back = 0, on_read = on_read,
  }
end

-- Whether an element that Redis holds in this list is a ghost.
local function is_ghost(l, s)
  if not l.ghost then l.ghost = {} end
  local known = l.ghost[s]
  if known == nil then
    known = run('SISMEMBER', l.key .. K.ghost, s) == 1
    l.ghost[s] = known
  end
  return known
end

-- A ghost came to the front.
local function drop_ghost(l, s)
  l.passed = l.passed + 1
  l.ghost[s] = false
  if l.purge and l.purge[s] then
    l.purge[s] = nil
  else
    l.ghosts = l.ghosts - 1
  end
  if l.fresh and l.fresh[s] then
    l.fresh[s] = nil
  else
    if not l.dropped then l.dropped = {} end
    l.dropped[#l.dropped + 1] = s
  end
end

-- The first element, or nil.
function list.first(l)
  while true do
    if l.fronts > 0 then return l.front[l.fronts] end
    if l.passed >= l.held then
      if l.first_back > l.last_back then return nil end
      return l.back[l.first_back]
    end
    local window = l.window
    local at = l.passed - l.from + 1
    if not window or at > #window then
      window = run('LRANGE', l.key, l.passed, l.passed + want - 1)
      if #window == 0 then error('list ' .. l.key .. ' is shorter than it should be') end
      l.window, l.from, at = window, l.passed, 1
      if l.on_read then l.on_read(window) end
    end
    local s = window[at]
    if l.ghosts == 0 and not l.purge or not is_ghost(l, s) then return s end
    drop_ghost(l, s)
  end
end

-- Takes out the first element, which `first` has just told.
function list.take(l)
  l.len = l.len - 1
  if l.fronts > 0 then
    l.front[l.fronts] = nil
    l.fronts = l.fronts - 1
  elseif l.passed < l.held then
    l.passed = l.passed + 1
  else
    l.back[l.first_back] = nil
    l.first_back = l.first_back + 1
  end
end

-- An element comes back whose ghost is still in the list.
local function lay_ghost(l, s)
  if is_ghost(l, s) and not (l.purge and l.purge[s]) then
    if not l.purge then l.purge = {} end
    l.purge[s] = true
    l.ghosts = l.ghosts - 1
  end
end

function list.push_back(l, s)
  if l.ghosts > 0 then lay_ghost(l, s) end
  l.len = l.len + 1
  l.last_back = l.last_back + 1
  l.back[l.last_back] = s
end

function list.push_front(l, s)
  if l.ghosts > 0 then lay_ghost(l, s) end
  l.len = l.len + 1
  l.fronts = l.fronts + 1
  l.front[l.fronts] = s
end

-- Takes out an element, wherever it is.
function list.remove(l, s)
  if list.first(l) == s then return list.take(l) end
  l.len = l.len - 1
  for i = l.last_back, l.first_back, -1 do
    if l.back[i] == s then
      for k = i, l.last_back do l.back[k] = l.back[k + 1] end
      l.last_back = l.last_back - 1
      return
    end
  end
  for i = l.fronts, 1, -1 do
    if l.front[i] == s then
      remove_at(l.front, i)
      l.fronts = l.fronts - 1
      return
    end
  end
  l.ghosts = l.ghosts + 1
  if not l.ghost then l.ghost = {} end
  if not l.fresh then l.fresh = {} end
  l.ghost[s], l.fresh[s] = true, true
end

-- How many live elements are before one.
function list.before(l, s)
  local before = 0
  for i = l.fronts, 1, -1 do
    if l.front[i] == s then return before end
    before = before + 1
  end
  local at = l.passed
  if l.ghosts == 0 and not l.purge then
    local place = l.held > at and run('LPOS', l.key, s)
    if place then return before + place - at end
    before = before + l.held - at
  else
    while at < l.held do
      local window = run('LRANGE', l.key, at, at + 999)
      if #window == 0 then break end
      for i = 1, #window do
        if not is_ghost(l, window[i]) then
          if window[i] == s then return before end
          before = before + 1
        end
      end
      at = at + #window
    end
  end
  for i = l.first_back, l.last_back do
    if l.back[i] == s then return before end
    before = before + 1
  end
  return before
end

-- All live elements, first to last.
function list.all(l)
  local all = {}
  for i = l.fronts, 1, -1 do all[#all + 1] = l.front[i] end
  if l.passed < l.held then
    local window = run('LRANGE', l.key, l.passed, -1)
    for i = 1, #window do
      if l.ghosts == 0 and not l.purge or not is_ghost(l, window[i]) then all[#all + 1] = window[i] end
    end
  end
  for i = l.first_back, l.last_back do all[#all + 1] = l.back[i] end
  return all
end

-- Writes what changed.
function list.store(l)
  local key = l.key
  if l.len == 0 then
    if l.held > 0 then run('DEL', key, key .. K.ghost) end
    l.ghosts = 0
    return
  end
  if l.passed > 0 then run('LPOP', key, l.passed) end
  if l.purge then
    for s in pairs(l.purge) do
      run('LREM', key, 1, s)
      if l.fresh and l.fresh[s] then
        l.fresh[s] = nil
      else
        if not l.dropped then l.dropped = {} end
        l.dropped[#l.dropped + 1] = s
      end
    end
  end
  if l.fronts > 0 then run_many('LPUSH', key, l.front) end
  if l.last_back >= l.first_back then
    if l.first_back == 1 then
      run_many('RPUSH', key, l.back)
    else
      local rest = {}
      for i = l.first_back, l.last_back do rest[#rest + 1] = l.back[i] end
      run_many('RPUSH', key, rest)
    end
  end
  if l.dropped then run_many('SREM', key .. K.ghost, l.dropped) end
  if l.fresh then
    local fresh = {}
    for s in pairs(l.fresh) do fresh[#fresh + 1] = s end
    run_many('SADD', key .. K.ghost, fresh)
  end
end
