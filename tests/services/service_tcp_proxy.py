"""A TCP proxy on loopback that does to connections what networks do: delay, refuse, cut, lose an answer, go silent.

In a process of its own: connectorx holds Python's lock while it waits, and a proxy in a thread would never answer.
"""

import asyncio
import json
import re
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Literal, Self

Action = Literal["cut", "lose_answer", "stall", "answer"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is to happen to a connection, and when.

    Attributes:
        action: `cut`: half of the bytes pass, then both ends get an RST. `lose_answer`: the server carries the request
            out, and the client gets an RST in place of its answer. `stall`: the request passes, nothing after it, and
            both ends go on to see an open connection. `answer`: the client gets `answer`, the server nothing.
        on: What the client sends, as a regular expression over bytes read as Latin-1.
        after_bytes: In place of `on`: as soon as the server has sent so many bytes over one connection.
        skip: How many times it is not yet to happen.
        times: How many times it is to happen after that.
        answer: For the action of that name.
    """

    action: Action
    on: str = ""
    after_bytes: int = 0
    skip: int = 0
    times: int = 1
    answer: str = ""


SLOW_DOWN = "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class TcpProxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target_port` as long as the `with` block lives."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port

    def __enter__(self) -> Self:
        command = [sys.executable, __file__, str(self._target_port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def plan(self, *faults: Fault, delay_s: float = 0.0, refuse: bool = False) -> None:
        """Set what is to happen from now on, in place of what was set before.

        Args:
            faults: Each is looked at in turn; the first that applies happens.
            delay_s: Latency of every piece of data, in each direction.
            refuse: Whether new connections are refused; those that are open stay.
        """
        self._tell({"faults": [asdict(fault) for fault in faults], "delay_s": delay_s, "refuse": refuse})

    @property
    def done(self) -> int:
        """How many faults have happened."""
        return int(self._tell({})["done"])

    def _tell(self, what: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@dataclass
class _Planned:
    fault: Fault
    skip: int
    left: int


class _Connection:
    """One connection on its way through; both of its directions know what has happened to it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.ends = (client, server)
        self.bytes_down = 0
        self.loses_answer = self.is_silent = False

    def reset(self) -> None:
        """Close both ends with an RST, which throws away what was not read yet."""
        for end in self.ends:
            with suppress(OSError):
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.transport.abort()


class _Server:
    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._planned: list[_Planned] = []
        self._delay_s = 0.0
        self._done = 0

    async def serve(self) -> None:
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        print(port, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            told = json.loads(line)
            if told:
                faults = [Fault(**fault) for fault in told["faults"]]
                self._planned = [_Planned(fault, fault.skip, fault.times) for fault in faults]
                self._delay_s = told["delay_s"]
                if told["refuse"]:
                    listener.close()
                elif not listener.is_serving():
                    listener = await asyncio.start_server(self._accept, "127.0.0.1", port)
            print(json.dumps({"done": self._done}), flush=True)

    async def _accept(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            to_client.transport.abort()
            return
        connection = _Connection(to_client, to_server)
        with suppress(OSError):
            await asyncio.gather(self._up(connection, from_client), self._down(connection, from_server))
        for end in connection.ends:
            end.close()

    async def _up(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        client, server = connection.ends
        while data := await reader.read(65536):
            fault = None if connection.is_silent else self._next(data=data)
            match fault and fault.action:
                case "cut":
                    server.write(data[: len(data) // 2])
                    await server.drain()
                    connection.reset()
                    return
                case "answer":
                    connection.is_silent = True  # what the client still sends is of no interest
                    client.write(fault.answer.encode() if fault else b"")
                    continue
                case "lose_answer":
                    connection.loses_answer = True
                case "stall":
                    await self._pass(server, data)
                    connection.is_silent = True
            if not connection.is_silent:
                await self._pass(server, data)
        server.close()

    async def _down(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        client, _ = connection.ends
        while data := await reader.read(65536):
            if connection.is_silent:
                continue
            # "100 Continue" only invites the body; the answer proper comes after the work is done.
            if connection.loses_answer and not data.startswith(b"HTTP/1.1 100"):
                connection.reset()
                return
            connection.bytes_down += len(data)
            fault = self._next(bytes_down=connection.bytes_down)
            if fault:
                await self._pass(client, data[: fault.after_bytes - connection.bytes_down])
                if fault.action == "cut":
                    connection.reset()
                    return
                connection.is_silent = True
                continue
            await self._pass(client, data)
        if not connection.is_silent:
            client.close()

    async def _pass(self, end: asyncio.StreamWriter, data: bytes) -> None:
        await asyncio.sleep(self._delay_s)
        end.write(data)
        await end.drain()

    def _next(self, data: bytes = b"", bytes_down: int = 0) -> Fault | None:
        """Return the fault that applies now, and take note of it."""
        for planned in self._planned:
            fault = planned.fault
            applies = re.search(fault.on, data.decode("latin-1")) if fault.on and data else None
            if applies is None and not 0 < fault.after_bytes < bytes_down:
                continue
            if planned.skip:
                planned.skip -= 1
            elif planned.left:
                planned.left -= 1
                self._done += 1
                return fault
        return None


if __name__ == "__main__":
    asyncio.run(_Server(int(sys.argv[1])).serve())
