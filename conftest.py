"""What holds for every test: Ctrl-C works, also where a shell started the tests in the background with SIGINT ignored."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and programs that the tests start get the default
