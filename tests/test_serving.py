from __future__ import annotations

import pytest

from upscaled.engine.outside import Reach
from upscaled.serving import Offer


@pytest.mark.parametrize(
    ("fetch", "tell"), [(Reach.NONE, Reach.PUBLIC), (Reach.PUBLIC, Reach.PUBLIC), (Reach.ANY, Reach.ANY)]
)
def test_webhooks_go_to_ones_own_network_where_pictures_come_from_it(fetch: Reach, tell: Reach) -> None:
    """A daemon beside the server can be told; whoever may not reach the network through the server cannot."""
    assert tell == Offer(fetch=fetch).tell
