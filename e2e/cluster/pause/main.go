// Waits until it is told to stop, and buries orphans meanwhile. It is the first
// process of a pod's sandbox and of a node (see ../lib/node.sh).
//
// As process 1 it must handle SIGTERM itself, the kernel has no default for it
// there, and it inherits every process whose parent has died.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err == syscall.EINTR {
				continue
			}
			if err != nil || pid <= 0 {
				break // none left, or none that has ended
			}
		}
	}
}
