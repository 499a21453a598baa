-- A row of failures, kept under one key as "FAILURES LAST BEGAN ENDED TURN KEEP": how
-- many there were, when the last one was, when the row began, which names it, up to
-- which name rows were ended by a success, until when somebody is trying, and when all
-- of it may be forgotten; in milliseconds.
--
-- ARGV: "begin", "fail", "succeed" or "abandon"; "FREE FIRST LAST EACH LONGEST TURN" of
-- the policy; "TURN BEGAN KNOWN ENDED ALONE AGE": the end of the attempt's own turn; the
-- row that the server knows of, how many failures it has, and 1 when a success ended
-- it; how many the server has counted by itself since, and how long ago the last one was.
--
-- Answer: the failures, how long ago the last one was, the name of the row, how long the
-- next attempt has to wait, and when the turn ends of the one that begins.

local most = 1048576 -- failures: more than anybody waits for

local function parse(text)
  local numbers = {}
  for number in string.gmatch(text, '%d+') do numbers[#numbers + 1] = tonumber(number) end
  return unpack(numbers)
end

local step = ARGV[1]
local free, first, last, each, longest, turn = parse(ARGV[2])
local own, began, known, ended, alone, age = parse(ARGV[3])
if began > now + longest then began, known, ended = 0, 0, 0 end -- no row of ours has that name

local function life(failures) return math.min(longest, each * failures) end

-- A clock that was set back keeps nobody waiting for longer than ever.
local function open()
  local value = redis.call('GET', KEYS[1])
  local row, fields = {}, {parse(value or '')}
  for i, name in ipairs({'failures', 'last', 'began', 'ended', 'turn', 'keep'}) do
    row[name] = #fields == 6 and fields[i] or 0
  end
  row.last = math.min(row.last, now)
  row.turn = math.min(row.turn, now + turn)
  row.keep = math.min(row.keep, now + longest)
  if row.keep <= now then row.ended = 0 end
  if row.last + life(row.failures) <= now then row.failures, row.turn = 0, 0 end
  row.value = value
  return row
end

local function finish(row)
  row.ended = math.max(row.ended, row.began, began)
  row.failures, row.turn = 0, 0
  if row.keep <= now then row.keep = now + longest end
end

local function add(row, n, at)
  if row.failures == 0 then row.began = math.max(now, row.ended + 1) end
  row.failures = math.min(most, row.failures + n)
  row.last = math.max(row.last, at)
end

-- hear takes over what the server knows and this does not.
local function hear(row)
  if ended == 1 and row.began <= began then finish(row) end
  if began > row.ended and known > row.failures then
    local name = math.max(row.began, began)
    add(row, known - row.failures, now - age)
    row.began = name
  end
  if alone > 0 then add(row, alone, now - age) end
end

local function wait(row)
  if row.failures <= free then return 0 end
  return math.max(0, row.last + math.min(last, first * 2 ^ (row.failures - free - 1)) - now)
end

local function save(row)
  if row.failures == 0 and row.ended == 0 then return end
  row.keep = math.max(row.keep, row.last + life(row.failures))
  local fields = {row.failures, row.last, row.began, row.ended, row.turn, row.keep}
  for i, number in ipairs(fields) do fields[i] = string.format('%.0f', number) end
  local value = table.concat(fields, ' ')
  if value ~= row.value then redis.call('SET', KEYS[1], value, 'PX', math.max(1, row.keep - now)) end
end

local row = open()
hear(row)
local left, given = 0, 0
if step == 'begin' then
  left = wait(row)
  if left == 0 and row.failures > free then
    if row.turn > now then
      left = math.min(1000, row.turn - now)
    else
      row.turn = now + turn
      given = row.turn
    end
  end
else
  if step == 'succeed' and (row.failures > 0 or row.ended > 0) then finish(row) end
  if step == 'fail' then add(row, 1, now) end
  if row.turn == own then row.turn = 0 end
  left = wait(row)
end
save(row)
if row.failures == 0 then return {0, 0, 0, 0, 0} end
return {row.failures, math.min(longest, now - row.last), row.began, left, given}
