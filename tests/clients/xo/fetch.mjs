// Fetches all objects of one pool with the xen-api of Xen Orchestra, and tells what that took as a line of JSON.
//
// Environment: FETCH_URL with user and password.

import { readFileSync } from 'node:fs'
import { createClient } from 'xen-api'

const spent = () => Object.values(process.cpuUsage()).reduce((sum, part) => sum + part / 1e6, 0)
const [began, start_cpu_s] = [Date.now(), spent()]
const xapi = createClient({ url: process.env.FETCH_URL, allowUnauthorized: true })
await xapi.connect()
await xapi.objectsFetched
const [took_s, cpu_s] = [(Date.now() - began) / 1e3, spent() - start_cpu_s]
const peak_mb = (Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024) / 1e6
process.stdout.write(JSON.stringify({ took_s, cpu_s, start_cpu_s, peak_mb }) + '\n')
process.exit(0)
