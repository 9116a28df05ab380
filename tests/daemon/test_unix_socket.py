"""On a host itself the recorder talks to xapi over its unix socket, without a password."""

from functools import partial
from pathlib import Path

import trio

from recorder.config import Config, Pool
from recorder.demo import Ledger
from recorder.journal.scan import scan
from recorder.model import Mark, MarkName
from recorder.service.daemon import Seams, serve
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.server import Served, Sockets
from recorder.simulator.server import serve as serve_pools


async def test_pool_is_recorded_over_a_unix_socket(tmp_path: Path) -> None:
    """`unix:/path` needs no password and no TLS, and the journal says where it was connected."""
    ledger = Ledger()
    spec = PoolSpec(name="local", hosts=1, vms=2, speed=0)
    data = tmp_path / "data"
    async with trio.open_nursery() as nursery:
        served: list[Served] = await nursery.start(
            partial(serve_pools, [spec], Sockets(folder=tmp_path), now_s=lambda: 1_790_000_000.0)
        )
        path = served[0].unix_socket
        config = Config(pools=(Pool(name="local", addresses=(f"unix:{path}",)),))
        recorder = partial(serve, config, data, seams=Seams(observer=ledger.observe))
        await nursery.start(recorder)
        with trio.fail_after(10):
            await ledger.until(lambda: ledger.baselines["local"] == 1)
        nursery.cancel_scope.cancel()
    marks = [entry.body for entry in scan(data / "journal") if isinstance(entry.body, Mark)]
    connected = next(mark.detail for mark in marks if mark.name is MarkName.CONNECTED)
    assert connected["address"] == f"unix:{path}"
    assert connected["codec"] == "json-rpc"
