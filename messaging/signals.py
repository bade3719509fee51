"""Signals for host projects, sent after commit with `send_robust`: a receiver that fails loses
nothing.

    message_received(sender=Message, message=…)
    message_status_changed(sender=Message, message_ids=[…], status="delivered", source="poll")
    lane_paused(sender=Provider or Sender, lane=…, reason="quota")
    lane_resumed(sender=Provider or Sender, lane=…)
"""

from django.dispatch import Signal

message_received = Signal()
message_status_changed = Signal()
lane_paused = Signal()
lane_resumed = Signal()
