-- What a call will ask for one by one, read at once before it begins.

-- Notes what is not known yet.
local function note_unknown(known, what, unknown)
  if known[what] == nil then
    known[what] = false
    unknown[#unknown + 1] = what
  end
end

-- Reads the chains that jobs are to be appended to.
local function chains_of(operations)
  local chain_keys = {}
  for i = 1, #operations do
    local o = operations[i]
    if o[1] == 'enqueue' then
      local names, of_name, job_keys = o[2], o[3], o[6]
      for n = 1, #of_name do
        local key = job_keys[n]
        local q = key ~= EMPTY_KEY and queues.named(names[of_name[n]])
        if q then note_unknown(C, q.k .. key, chain_keys) end
      end
    end
  end
  chains.load(chain_keys)
end

-- Takes ids and keys of new jobs from their records: ids of jobs that are not known yet go to `unknown`.
local function look_into(o, blobs, from, unknown)
  local ids, job_keys = {}, {}
  for n = 1, #o[3] do
    local blob = blobs[from + n]
    local id = sub(blob, 5, 20)
    ids[n], job_keys[n] = id, sub(blob, 21, 28)
    note_unknown(ID, id, unknown)
  end
  o[5], o[6] = ids, job_keys
end

-- Reads at once what the operations will ask for one by one. Records of new jobs follow the first of `blobs`.
function entry.prefetch(operations, blobs)
  local ids, names, from = {}, {}, 1
  for i = 1, #operations do
    local o = operations[i]
    local what = o[1]
    if what == 'settle' then
      for n = 1, #o[2], 3 do note_unknown(ID, o[2][n], ids) end
    elseif what == 'start' or what == 'renew' then
      for n = 1, #o[2], 2 do note_unknown(ID, o[2][n], ids) end
    elseif what == 'evidence' then
      for n = 1, #o[2] do note_unknown(ID, o[2][n][1], ids) end
    elseif what == 'enqueue' then
      for n = 1, #o[2] do names[#names + 1] = o[2][n] end
      look_into(o, blobs, from, ids)
      from = from + #o[3]
    end
  end
  jobs.load_unknown(ids)
  if #names > 0 then
    queues.load_names(names)
    chains_of(operations)
  end
end

