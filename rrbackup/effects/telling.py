"""What threads that move files have to tell, passed on by one thread at a time, until nobody listens any more."""

from collections.abc import Callable
from threading import Lock

from rrbackup.events import Event, OnEvent
from rrbackup.pure.model import ObjectRef
from rrbackup.pure.outcomes import Content

OnReceipt = Callable[[Content, ObjectRef], None]


class Telling:
    """Between the threads that move files and those who want to know: whoever watches, and for uploads the journal.

    Once `end` has returned, `receipt` does not touch the journal any more: others may have opened it.
    """

    def __init__(self, on_event: OnEvent, on_receipt: OnReceipt = lambda content, ref: None) -> None:
        self._on_receipt = on_receipt
        self._on_event = on_event
        self._receipt_lock = Lock()
        self._event_lock = Lock()
        self._ended = False

    def receipt(self, content: Content, ref: ObjectRef) -> bool:
        """Whether it was noted down."""
        with self._receipt_lock:
            if not self._ended:
                self._on_receipt(content, ref)
            return not self._ended

    def event(self, event: Event) -> None:
        with self._event_lock:
            if not self._ended:
                self._on_event(event)

    def end(self) -> None:
        with self._receipt_lock:
            self._ended = True
