// Watches one pool with the xen-api of Xen Orchestra and tells what it sees, a line of JSON each.
//
// Environment: WATCH_URL with user and password, WATCH_TRANSPORT (auto, json-rpc or xml-rpc).
// Told: {"saw": "connected" | "disconnected" | "fetched" | "add" | "update" | "remove" | "trouble" | "answer", ...}.
// Asked on stdin: {"ask": ID, "call": METHOD, "args": [...]} with "async" for a call with a task,
// {"ask": ID, "state": true} for every object in the cache. The end of stdin ends the program.

import { createInterface } from 'node:readline'
import { createClient } from 'xen-api'

const tell = line => process.stdout.write(JSON.stringify(line) + '\n')

const xapi = createClient({
  url: process.env.WATCH_URL,
  transport: process.env.WATCH_TRANSPORT,
  // Hosts sign their certificates themselves; Xen Orchestra has a switch for that, too.
  allowUnauthorized: true,
  // A pause of milliseconds instead of seconds before the next event.from, and before another try.
  debounce: 5,
  eventPollDelay: 20,
})

xapi.on('connected', () => tell({ saw: 'connected' }))
xapi.on('disconnected', () => tell({ saw: 'disconnected' }))

// The library goes on asking the host it knows; following the master is left to whoever uses it.
xapi.on('eventFetchingError', async error => {
  tell({ saw: 'trouble', code: error.code, params: error.params, message: error.message })
  if (error.code === 'HOST_IS_SLAVE') {
    await xapi.disconnect()
    await xapi.connect()
  }
})

const known = new Map()
const describe = object => ({
  class: object.$type,
  ref: object.$ref,
  uuid: object.uuid,
  name: object.name_label,
  power_state: object.power_state,
})
for (const saw of ['add', 'update', 'remove']) {
  xapi.objects.on(saw, objects => {
    for (const id of Object.keys(objects)) {
      // What is removed is not told by the library, only its id.
      const described = objects[id] === undefined ? known.get(id) : describe(objects[id])
      known.set(id, described)
      tell({ saw, ...described })
    }
  })
}

const state = () => {
  const objects = {}
  for (const object of Object.values(xapi.objects.all)) {
    objects[object.$type] ??= {}
    objects[object.$type][object.$ref] = object
  }
  return objects
}

const counts = () => Object.fromEntries(Object.entries(state()).map(([type, all]) => [type, Object.keys(all).length]))

// The promise is replaced whenever the library has to fetch everything anew.
const tellFetches = async () => {
  let last
  while (true) {
    const fetched = xapi.objectsFetched
    if (fetched === last) {
      await new Promise(resolve => setTimeout(resolve, 2))
      continue
    }
    await fetched
    last = fetched
    tell({ saw: 'fetched', counts: counts(), pool: xapi.pool.uuid, master: xapi.pool.$master.address })
  }
}

const answer = async ({ call, args = [], async, barrier }) => {
  if (barrier) {
    await xapi.barrier()
    return true
  }
  if (call === undefined) {
    return state()
  }
  return await (async ? xapi.callAsync(call, ...args) : xapi.call(call, ...args))
}

for await (const line of await begin()) {
  const asked = JSON.parse(line)
  answer(asked).then(
    result => tell({ saw: 'answer', ask: asked.ask, result }),
    error => tell({ saw: 'answer', ask: asked.ask, code: error.code, params: error.params, message: error.message })
  )
}
process.exit(0)

async function begin() {
  const lines = createInterface({ input: process.stdin })
  tellFetches()
  await xapi.connect()
  return lines
}
