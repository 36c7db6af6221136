-- Load for wrk: STRONGROOM_BENCH_TOKEN, and what to ask as the first argument:
-- "create", "get", "patch", "delete", "tokens" or "create-as". The last four take a
-- file as the second, with a line for each secret's id, or for each token that takes
-- its turn, behind which a path may stand; and the number of threads as the third.
-- The last line is one JSON object.
local token = os.getenv("STRONGROOM_BENCH_TOKEN")
local body = '{"name": "bench", "values": {"STRIPE_API_KEY": "sk_test_0123456789abcdef0123456789abcdef"}, '
    .. '"service_slug": "stripe", "shared": false}'
local patch = '{"add_values": {"STRIPE_API_KEY": "sk_test_fedcba9876543210fedcba9876543210"}}'

local threads = {}

function setup(thread)
    thread:set("number", #threads)
    table.insert(threads, thread)
end

-- Each thread takes lines of its own, so that no secret is deleted twice.
local function lines_of_this_thread(file, count)
    local lines, at = {}, 0
    for line in io.lines(file) do
        if at % count == number then table.insert(lines, line) end
        at = at + 1
    end
    return lines
end

function init(args)
    if token then wrk.headers["Authorization"] = "Bearer " .. token end
    if args[1] == "create" then
        wrk.method = "POST"
        wrk.headers["Content-Type"] = "application/json"
        wrk.body = body
    elseif args[1] == "patch" or args[1] == "delete" then
        local ids, at = lines_of_this_thread(args[2], tonumber(args[3])), 0
        if args[1] == "patch" then wrk.headers["Content-Type"] = "application/json" end
        local method, content = args[1]:upper(), args[1] == "patch" and patch or nil
        request = function()
            at = at % #ids + 1
            return wrk.format(method, "/v1/credentials/" .. ids[at], nil, content)
        end
    elseif args[1] == "tokens" or args[1] == "create-as" then
        local requests, at = {}, 0
        local method, content = nil, nil
        if args[1] == "create-as" then
            method, content = "POST", body
            wrk.headers["Content-Type"] = "application/json"
        end
        for _, line in ipairs(lines_of_this_thread(args[2], tonumber(args[3]))) do
            local token, path = line:match("^(%S+) ?(%S*)$")
            wrk.headers["Authorization"] = "Bearer " .. token
            table.insert(requests, wrk.format(method, path ~= "" and path or nil, nil, content))
        end
        request = function()
            at = at % #requests + 1
            return requests[at]
        end
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format('{"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "failed": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
