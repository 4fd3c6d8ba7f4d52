"""The web app's entry. A visitor never sees a traceback: this is the one error boundary."""

from rmtviz.ui import shell

try:
    shell.run()
except Exception as error:
    shell.failed(error)
