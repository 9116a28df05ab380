// Follows a pool with the xen-api of Xen Orchestra until it has taken so many events; for benchmarks.
//
// Environment: WATCH_URL with user and password, WATCH_COUNT. Writes a line when it has fetched every object, and
// one when it has handled the last event, with the seconds of the monotonic clock. The end of stdin ends the program.

import { createClient } from 'xen-api'

const tell = line => process.stdout.write(line + '\n')

const xapi = createClient({
  url: process.env.WATCH_URL,
  allowUnauthorized: true,
  // It asks for the next events at once; by itself it waits for 200 ms.
  debounce: 0,
})

let left = Number(process.env.WATCH_COUNT)
const handle = xapi._processEvents
xapi._processEvents = function (events) {
  handle.call(this, events)
  left -= events.length
  if (left === 0) {
    tell(Number(process.hrtime.bigint()) / 1e9)
  }
}

await xapi.connect()
await xapi.objectsFetched
tell('ready')
process.stdin.on('end', () => process.exit(0)).resume()
