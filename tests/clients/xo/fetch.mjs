// Fetches all objects of one pool with the xen-api of Xen Orchestra, and tells what that took as a line of JSON.
//
// Environment: FETCH_URL with user and password.

import { readFileSync } from 'node:fs'
import { createClient } from 'xen-api'

const began = Date.now()
const xapi = createClient({ url: process.env.FETCH_URL, allowUnauthorized: true })
await xapi.connect()
await xapi.objectsFetched
const took_s = (Date.now() - began) / 1e3
const { user, system } = process.cpuUsage()
const peak_kib = Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1])
process.stdout.write(JSON.stringify({ took_s, cpu_s: (user + system) / 1e6, peak_mb: (peak_kib * 1024) / 1e6 }) + '\n')
process.exit(0)
