-- Posts the photos listed in PHOTOS, one path per line; each thread starts with another one.
-- CONTENT_TYPE, TOKEN and FORM_FIELD, for servers that take a form, come from the environment.
local bodies = {}
local next_body = 0
local threads = 0

local function read(path)
  local file = assert(io.open(path, "rb"))
  local body = file:read("*a")
  file:close()
  return body
end

function setup(thread)
  thread:set("first", threads)
  threads = threads + 1
end

function init()
  local field = os.getenv("FORM_FIELD")
  local headers = { ["Content-Type"] = os.getenv("CONTENT_TYPE") }
  if os.getenv("TOKEN") then headers["Authorization"] = "Bearer " .. os.getenv("TOKEN") end
  if field then headers["Content-Type"] = "multipart/form-data; boundary=headswap" end
  for path in io.lines(os.getenv("PHOTOS")) do
    local body = read(path)
    if field then
      body = '--headswap\r\nContent-Disposition: form-data; name="' .. field
        .. '"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n' .. body .. "\r\n--headswap--\r\n"
    end
    -- Formatted once, so that wrk only copies bytes while it measures.
    bodies[#bodies + 1] = wrk.format("POST", nil, headers, body)
  end
  next_body = first * 7
end

function request()
  next_body = next_body + 1
  return bodies[(next_body % #bodies) + 1]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration_s":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"bad_status":%d,"lost":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
