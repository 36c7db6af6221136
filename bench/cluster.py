"""A PostgreSQL for measuring: a real server with its default settings, on the checkout's disk, run by a user who may do
nothing else."""

import glob
import os
import shutil
import socket
import subprocess
import sys
import time

CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 1GB
max_wal_size = 4GB
"""


def server_programs():
    """Where the server's programs are."""
    found = max(glob.glob("/usr/lib/postgresql/*/bin"), default=os.path.dirname(shutil.which("initdb") or ""))
    return found or sys.exit("error: there is no PostgreSQL server\nhint: apt-get install postgresql")


class Cluster:
    """Started on the way in, ended on the way out."""

    def __init__(self, place):
        self.programs = server_programs()
        self.place, self.data = place, os.path.join(place, "postgres")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def program(self, name):
        return os.path.join(self.programs, name)

    def other_user(self):
        return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"] if os.getuid() == 0 else []

    def __enter__(self):
        os.mkdir(self.data, 0o700)
        os.chmod(self.place, 0o755)
        if os.getuid() == 0:
            shutil.chown(self.data, "nobody", "nogroup")
        self.run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=strongroom", "--pgdata", self.data)
        with open(os.path.join(self.data, "postgresql.auto.conf"), "a") as configuration:
            configuration.write(CONFIGURATION.format(port=self.port))
        self.server = subprocess.Popen([*self.other_user(), self.program("postgres"), "-D", self.data], cwd="/",
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            if subprocess.run([self.program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0:
                return self
            time.sleep(0.1)
        sys.exit("error: PostgreSQL did not start")

    def run(self, program, *arguments):
        subprocess.run([*self.other_user(), self.program(program), *arguments], cwd="/", check=True,
                       stdout=subprocess.DEVNULL)

    def __exit__(self, *_):
        self.server.terminate()
        self.server.wait(timeout=60)

    def url(self, database):
        return f"postgres://strongroom@127.0.0.1:{self.port}/{database}"

    def query(self, database, text):
        """What a query answers, a line a row."""
        return subprocess.check_output([self.program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database),
                                        "-c", text], text=True)
