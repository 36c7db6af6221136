-- Load for wrk: STRONGROOM_BENCH_TOKEN, and "create" or "get" as the first
-- argument. The last line is one JSON object that bench/run reads.
local token = os.getenv("STRONGROOM_BENCH_TOKEN")
local body = '{"name": "bench", "values": {"STRIPE_API_KEY": "sk_test_0123456789abcdef0123456789abcdef"}, '
    .. '"service_slug": "stripe", "shared": false}'

function init(args)
    if token then wrk.headers["Authorization"] = "Bearer " .. token end
    if args[1] == "create" then
        wrk.method = "POST"
        wrk.headers["Content-Type"] = "application/json"
        wrk.body = body
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format('{"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "failed": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
