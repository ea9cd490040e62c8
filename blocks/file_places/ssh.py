"""An SSH connection to a server that has proven to be the right one.

The server's key is compared with the known one. It is never taken on trust, and never added anywhere.
"""

import base64
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from paramiko.sftp import CMD_CLOSE, CMD_HANDLE, CMD_NAME, CMD_OPENDIR, CMD_READDIR

from schemas.errors import ConfigError, SourceError, SourceUnavailable
from schemas.sources.files import SftpConnection

_KNOWN_HOSTS = Path("~/.ssh/known_hosts")
_MOST_NAMES = 1_000_000
_KEEPALIVE_S = 30
_NOTHING = "Nothing was read, and no login was tried."


class _UnknownHost(Exception):
    """The server has a key that nobody knows."""

    def __init__(self, key: paramiko.PKey) -> None:
        super().__init__(key.get_name())
        self.key = key


class _Refuse(paramiko.MissingHostKeyPolicy):
    """Refuses a server without a known key, as `RejectPolicy` does, and keeps the key for the error."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise _UnknownHost(key)


class _Client(paramiko.SFTPClient):
    """An SFTP client to which one odd name does not spoil a whole list."""

    def listdir_attr(self, path: str = ".") -> list[paramiko.SFTPAttributes]:
        """Return what is in a folder. What is no UTF-8 in a name becomes surrogates, which no good name has."""
        kind, message = self._request(CMD_OPENDIR, path)  # type: ignore[attr-defined]
        if kind != CMD_HANDLE:
            raise paramiko.SFTPError("Expected a handle")
        handle = message.get_binary()
        found: list[paramiko.SFTPAttributes] = []
        while True:
            try:
                kind, message = self._request(CMD_READDIR, handle)  # type: ignore[attr-defined]
            except EOFError:  # the end of the list, or of the connection: then closing fails
                break
            if kind != CMD_NAME or len(found) > _MOST_NAMES:
                raise paramiko.SFTPError("Expected names, and not without end")
            for _ in range(message.get_int()):
                name, long_name = (message.get_binary().decode("utf-8", "surrogateescape") for _ in range(2))
                attributes: Any = paramiko.SFTPAttributes
                found.append(attributes._from_msg(message, name, long_name))
        self._request(CMD_CLOSE, handle)  # type: ignore[attr-defined]
        return [entry for entry in found if entry.filename not in (".", "..")]


@dataclass(frozen=True, slots=True)
class SftpSession:
    """A connection, and the SFTP channel in it."""

    client: paramiko.SSHClient
    sftp: paramiko.SFTPClient

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet, as far as is known."""
        transport = self.client.get_transport()
        channel = self.sftp.get_channel()
        return transport is not None and transport.is_active() and channel is not None and not channel.closed

    def close(self) -> None:
        """End it."""
        self.client.close()


def connected(connection: SftpConnection) -> SftpSession:
    """Log in.

    Raises:
        ConfigError: A key file, or the file of known hosts, is not there or cannot be used.
        SourceError: The server is not known, has another key than it should have, or does not let us in.
        SourceUnavailable: It could not be reached.
    """
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # what it says is in our errors
    where = f"{connection.host}:{connection.port}"
    key = None if connection.key_file is None else _private_key(connection.key_file, connection)
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(_Refuse())
    known = _known_keys(client, connection)
    try:
        client.connect(
            connection.host,
            connection.port,
            connection.user,
            connection.password.get_secret_value() if connection.password else None,
            pkey=key,
            timeout=connection.timeout_s,
            banner_timeout=connection.timeout_s,
            auth_timeout=connection.timeout_s,
            channel_timeout=connection.timeout_s,
            allow_agent=False,
            look_for_keys=False,
        )
        transport = client.get_transport()
        assert transport is not None
        transport.set_keepalive(_KEEPALIVE_S)
        sftp = _Client.from_transport(transport)
        assert sftp is not None
        channel = sftp.get_channel()
        assert channel is not None
        channel.settimeout(connection.timeout_s)
        return SftpSession(client, sftp)
    except BaseException as error:
        client.close()
        if isinstance(error, paramiko.BadHostKeyException):
            raise _changed_key(where, error.key, known, connection) from error
        if isinstance(error, _UnknownHost):
            raise _unknown_key(where, error.key, known, connection) from error
        if isinstance(error, paramiko.AuthenticationException) and not _was_cut(error):
            how = "key" if connection.key_file else "password"
            raise SourceError(
                f"The SFTP server {where} does not let the user {connection.user} in with this {how}: {error}",
                state="Nothing was read.",
                next_step=f"Correct `connection` of the source, or have the {how} accepted on the server.",
            ) from error
        if isinstance(error, EOFError | OSError | paramiko.SSHException):
            raise SourceUnavailable(
                f"The SFTP server {where} could not be reached: {type(error).__name__}: {error}",
                state="Nothing was read.",
                next_step="Check host, port and network, and that an SFTP server listens there; then run it again.",
            ) from error
        raise


def fingerprint(key: paramiko.PKey) -> str:
    """Return a key's fingerprint as `ssh-keygen -l` prints it: `ssh-ed25519 SHA256:…`."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


def _known_keys(client: paramiko.SSHClient, connection: SftpConnection) -> list[paramiko.PKey]:
    """Load what is known of the server's keys, and return them."""
    hosts = client.get_host_keys()
    name = connection.host if connection.port == 22 else f"[{connection.host}]:{connection.port}"
    if connection.host_key is not None:
        entry = _entry(f"{name} {connection.host_key}")
        if entry is None:
            raise ConfigError(
                "connection.host_key is no public key of a server.",
                state=_NOTHING,
                next_step=f"Write it as `ssh-keyscan {connection.host}` prints it, behind the name: ssh-ed25519 AAAA…",
            )
        hosts.add(name, entry.get_name(), entry)
    else:
        _load_known_hosts(hosts, connection)
    return list((hosts.lookup(name) or {}).values())


def _load_known_hosts(hosts: paramiko.HostKeys, connection: SftpConnection) -> None:
    path = (connection.known_hosts or _KNOWN_HOSTS).expanduser()
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError as error:
        if connection.known_hosts is None:
            return  # nobody is known then, which is said with the key that the server has
        raise ConfigError(
            f"connection.known_hosts: there is no file {path}.",
            state=_NOTHING,
            next_step=f"Make it: ssh-keyscan -p {connection.port} {connection.host}, and compare the key with the "
            "server's people.",
        ) from error
    except OSError as error:
        raise ConfigError(f"connection.known_hosts: {path}: {error.strerror}.", state=_NOTHING) from error
    revoked = [line.split(None, 1)[1] for line in lines if line.startswith("@revoked ")]
    bad = {key.asbytes() for line in revoked if (key := _entry(line))}
    for line in lines:
        if line.startswith(("#", "@")) or not line.strip():
            continue  # @cert-authority: paramiko knows no certificates of hosts
        entry = _host_key_entry(line)
        if entry is not None and entry.key is not None and entry.key.asbytes() not in bad:
            hosts._entries.append(entry)  # type: ignore[attr-defined]  # its own `load` ends at the first odd line


def _host_key_entry(line: str) -> Any:
    try:
        return paramiko.hostkeys.HostKeyEntry.from_line(" ".join(line.split()))
    except Exception:  # noqa: BLE001 - a line that cannot be read vouches for nobody; paramiko raises all kinds
        return None


def _entry(line: str) -> paramiko.PKey | None:
    entry = _host_key_entry(line)
    key: paramiko.PKey | None = None if entry is None else entry.key
    return key


def _private_key(path: Path, connection: SftpConnection) -> paramiko.PKey:
    secret = connection.key_passphrase
    try:
        return paramiko.PKey.from_path(path, None if secret is None else secret.get_secret_value().encode())  # type: ignore[arg-type]
    except OSError as error:
        raise ConfigError(
            f"connection.key_file: {path}: {error.strerror}.",
            state=_NOTHING,
            next_step="Name the file of the private key, readable by this user.",
        ) from error
    except (ValueError, TypeError, paramiko.SSHException) as error:
        hint = "connection.key_passphrase is not the right one for it, or it is no private key"
        if secret is None:
            hint = "it has a passphrase (connection.key_passphrase), or is no private key"
        raise ConfigError(
            f"connection.key_file: {path} cannot be read: {hint}.",
            state=_NOTHING,
            next_step=f"Try it with: ssh-keygen -y -f {path}",
        ) from error


def _changed_key(where: str, got: paramiko.PKey, known: list[paramiko.PKey], connection: SftpConnection) -> SourceError:
    expected = ", ".join(sorted(fingerprint(key) for key in known))
    return SourceError(
        f"The SFTP server {where} has another key than it should have: expected {expected}, got {fingerprint(got)}. "
        "Somebody may have put another server in its place.",
        state=_NOTHING,
        next_step="Ask the server's people whether its key has changed; if it has, put the new one into "
        f"{_where_known(connection)}.",
    )


def _unknown_key(where: str, got: paramiko.PKey, known: list[paramiko.PKey], connection: SftpConnection) -> SourceError:
    if known:
        return _changed_key(where, got, known, connection)
    return SourceError(
        f"The key of the SFTP server {where} is not known: expected none, got {fingerprint(got)}.",
        state=_NOTHING,
        next_step=f"Compare it with what the server's people say, then put it into {_where_known(connection)}: "
        f"ssh-keyscan -p {connection.port} {connection.host}",
    )


def _where_known(connection: SftpConnection) -> str:
    return "connection.host_key" if connection.host_key else str(connection.known_hosts or _KNOWN_HOSTS)


def _was_cut(error: paramiko.AuthenticationException) -> bool:
    # paramiko says "failed" of a login that the network did not let through as well.
    text = str(error)
    return "EOF" in text or "timeout" in text.lower()
