"""An example of a step of kind `custom`: VMs hold their breath for a while."""

import trio


async def breathe(work, args):
    """Pause each VM, wait, and let it go on."""

    async def life(lane):
        await work.do(lane.ref, "VM.pause")
        await trio.sleep(args["seconds"])
        await work.do(lane.ref, "VM.unpause")

    await work.abreast(life)
