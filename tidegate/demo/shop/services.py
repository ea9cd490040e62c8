"""What the demo shop needs around it, all of it real and all of it gone at the end: servers and their addresses."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tidegate.demo.mariadb import MariaDB
from tidegate.demo.postgres import EmbeddedPostgres
from tidegate.demo.sftp_server import SftpServer
from tidegate.demo.shop.apis import ShopApis
from tidegate.demo.shop.database import fill_database
from tidegate.demo.shop.files import write_files
from tidegate.demo.shop.rows import Shop, holidays, rates


@dataclass(frozen=True)
class ShopServices:
    """The servers, running."""

    database: MariaDB
    warehouse: EmbeddedPostgres


@contextmanager
def shop_services(shop: Shop) -> Iterator[ShopServices]:
    """Start a MariaDB, a PostgreSQL, an SFTP server and two APIs, and set the variables that the project asks for."""
    with ExitStack() as stack:
        apis = stack.enter_context(ShopApis(rates(shop), holidays(shop)))
        # One after the other, and all from here: each ends with the thread that started it.
        sftp = stack.enter_context(SftpServer())
        write_files(shop, sftp.files)
        warehouse = stack.enter_context(EmbeddedPostgres())
        database = stack.enter_context(MariaDB())
        fill_database(database, shop)
        os.environ.update(
            SHOP_DB_HOST="127.0.0.1",
            SHOP_DB_PORT=str(database.port),
            SHOP_DB_USER=database.user,
            SHOP_DB_PASSWORD=database.password,
            SHOP_SFTP_HOST="127.0.0.1",
            SHOP_SFTP_PORT=str(sftp.port),
            SHOP_SFTP_USER=sftp.user,
            SHOP_SFTP_KEY=str(sftp.client_key),
            SHOP_SFTP_HOST_KEY=sftp.host_key,
            SHOP_SFTP_FOLDER=str(sftp.files),
            SHOP_API_URL=apis.url,
            SHOP_API_TOKEN=apis.token,
            SHOP_WAREHOUSE_URL=warehouse.url(),
        )
        yield ShopServices(database, warehouse)
