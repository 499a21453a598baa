-- Windows of limits, each counted under a key as "START COUNT BOOKED…": when it began,
-- in milliseconds, what is counted in it, and what is booked in those behind it.
--
-- ARGV: "take", "look" or "cancel"; a time in milliseconds; then for each key
-- "LIMIT PERIOD N CARRIED AT [TOLD BEGAN]". take counts n in all windows, each as it is after the
-- shortest wait of at most the time that leaves all of them enough, or in none. look
-- counts nothing. cancel takes back what was counted for the moment AT. CARRIED was
-- counted elsewhere in a window that began AT milliseconds ago. TOLD of it was carried
-- before into the window that began at BEGAN, and counts again only where that one has
-- not ended and is not there any more.
--
-- Answer: 1 when there is room, else 0; when there is room for all, from now on, or,
-- for look, from the time on; then for each key what remains, when there is more, and
-- for which moment it was counted, and when the window began that has what was carried.

local function parse(text)
  local numbers = {}
  for number in string.gmatch(text, '%d+') do numbers[#numbers + 1] = tonumber(number) end
  return numbers
end

-- open returns a window as it is now; w[i] is counted in the i-th behind it.
local function open(value, demand)
  local d = parse(demand)
  local w = {limit = d[1], period = d[2], n = d[3], carried = d[4], at = d[5], told = d[6] or 0, began = d[7] or 0, start = now, last = 0, [0] = 0}
  local stored = value and parse(value)
  if not stored or #stored < 2 then return w end
  local start = math.min(stored[1], now) -- a clock that was set back ends no window
  local over = math.floor((now - start) / w.period)
  local last = #stored - 2 - over
  if last < 0 or last == 0 and stored[2 + over] == 0 then return w end -- it has not begun
  w.known, w.changed, w.last = true, start ~= stored[1], last
  w.start = start + over * w.period
  for i = 0, w.last do w[i] = stored[2 + over + i] end
  return w
end

local function carry(w)
  local n = w.carried
  if w.told > 0 and (now >= w.began + w.period or w.known and w.start == w.began) then n = n - w.told end
  if n <= 0 then return end
  if not w.known then w.start = now - math.min(w.at, w.period - 1) end
  w[0], w.changed, w.began = w[0] + n, true, w.start
end

local function place(w, at) return math.floor((at - w.start) / w.period) end

-- room returns the first moment, from one on, at which there is room for n.
local function room(w, at, n)
  local i = place(w, at)
  n = math.min(n, w.limit)
  while (w[i] or 0) + n > w.limit do i = i + 1 end
  return math.max(at, w.start + i * w.period)
end

-- vacancy returns the shortest wait, from one on, after which all have enough left.
local function vacancy(windows, wait, n)
  local i = 1
  while i <= #windows do
    local w = windows[i]
    local later = room(w, now + wait, n or w.n) - now
    i = i + 1
    if later > wait then wait, i = later, 1 end -- those before must have room then, too
  end
  return wait
end

-- seconds is vacancy in whole seconds.
local function seconds(windows, wait, n)
  while true do
    local whole = math.ceil(vacancy(windows, wait, n) / 1000) * 1000
    wait = vacancy(windows, whole, n)
    if wait == whole then return whole end
  end
end

local function add(w, at)
  local i = place(w, at)
  for j = w.last + 1, i do w[j] = 0 end
  w.last = math.max(w.last, i)
  w[i], w.changed, w.booked = w[i] + w.n, true, at
end

local function remove(w)
  local i = place(w, w.at)
  if not w.known or i < 0 or i > w.last then return end
  w[i], w.changed = math.max(0, math.min(w[i], w.limit) - w.n), true
end

local function save(key, w)
  if not w.changed then return end
  local text = {string.format('%.0f', w.start)}
  for i = 0, w.last do text[#text + 1] = string.format('%.0f', w[i]) end
  redis.call('SET', key, table.concat(text, ' '), 'PX', w.start + w.period * (1 + w.last) - now)
end

local function left(w)
  if w.last > 0 and w[0] >= w.limit then return seconds({w}, 0, 1) end
  return w.start + w.period - now
end

local verb, within = ARGV[1], tonumber(ARGV[2])
local values = redis.call('MGET', unpack(KEYS))
local windows, opened, enough = {}, {}, true
for i, key in ipairs(KEYS) do
  local w = opened[key] or open(values[i], ARGV[2 + i])
  if verb == 'cancel' then remove(w) elseif not opened[key] then carry(w) end
  windows[i], opened[key] = w, w
  enough = enough and w.limit - w[0] >= w.n
end

local wait, granted = 0, enough
if verb == 'look' then
  wait = seconds(windows, within)
elseif verb == 'take' then
  if not enough then
    wait = vacancy(windows, 0)
    granted = wait <= within
    if not granted then wait = seconds(windows, wait) end
  end
end

local answer = {granted and 1 or 0, wait}
for _, w in ipairs(windows) do
  if verb == 'take' and granted then add(w, now + wait) end
  answer[#answer + 1] = math.max(0, w.limit - w[0])
  answer[#answer + 1] = left(w)
  answer[#answer + 1] = w.booked or 0
  answer[#answer + 1] = w.began
end
for key, w in pairs(opened) do save(key, w) end
return answer
