"""The watches under way: one a pool, each in a scope of its own."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec
import trio
from msgspec.structs import replace

from ..client.session import Session
from ..config import Pool
from ..model import PoolTail
from .vitals import Vitals
from .watch import OpenSession, Watch

MakeWatch = Callable[[Pool, OpenSession, PoolTail], Watch]
"""Makes the watch of one pool, which goes on where the journal stands with it."""


class WayIn(msgspec.Struct):
    """Opens the sessions of one pool; the next one by whatever `opener` is then."""

    opener: OpenSession

    def __call__(
        self, members: Sequence[str], gently: bool, /
    ) -> AbstractAsyncContextManager[Session]:
        """Open a session; see `OpenSession`."""
        return self.opener(members, gently)


class Post(msgspec.Struct, frozen=True):
    """One pool and its watch; `ended` is set once its last words are handed over."""

    pool: Pool
    watch: Watch
    way_in: WayIn
    scope: trio.CancelScope = msgspec.field(default_factory=trio.CancelScope)
    ended: trio.Event = msgspec.field(default_factory=trio.Event)


class Roster:
    """Starts and ends watches, in the nursery that it is given."""

    def __init__(self, nursery: trio.Nursery, make_watch: MakeWatch) -> None:
        self._nursery = nursery
        self._make_watch = make_watch
        self._posts: dict[str, Post] = {}

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The pools that are watched, as they were configured when their watch began."""
        return tuple(post.pool for post in self._posts.values())

    @property
    def vitals(self) -> tuple[Vitals, ...]:
        """How it goes, pool by pool."""
        return tuple(post.watch.vitals for post in self._posts.values())

    def post(self, name: str) -> Post | None:
        """Return the pool of this name and its watch, None if it is not watched."""
        return self._posts.get(name)

    def start(self, pool: Pool, opener: OpenSession, tail: PoolTail) -> None:
        """Begin to watch a pool."""
        assert pool.name not in self._posts
        way_in = WayIn(opener)
        post = Post(pool, self._make_watch(pool, way_in, tail), way_in)
        self._posts[pool.name] = post
        self._nursery.start_soon(self._run, post)

    def open_by(self, pool: Pool, opener: OpenSession) -> None:
        """Let the next session of a pool be opened by `opener`; the one under way goes on.

        `pool` is the pool as it is configured now, which makes no difference to its watch.
        """
        post = self._posts[pool.name]
        post.way_in.opener = opener
        self._posts[pool.name] = replace(post, pool=pool)

    async def end(self, why: Mapping[str, str]) -> None:
        """End the watches of pools side by side, each with the reason that its record shall tell.

        Return when their last words are handed over, or given up.
        """
        posts = [self._posts[name] for name in why]
        for post in posts:
            post.watch.parting_words = why[post.pool.name]
            post.scope.cancel()
        for post in posts:
            await post.ended.wait()
            del self._posts[post.pool.name]

    async def _run(self, post: Post) -> None:
        try:
            with post.scope:
                await post.watch.run()
        finally:
            post.ended.set()
