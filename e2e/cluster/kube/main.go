// All of Kubernetes that the test cluster needs, in one binary: the name that
// it is started under picks the component. One binary shares one link step and
// most of its code, so building it takes a fraction of seven separate builds.
package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // the usual metrics of client-go
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// components maps the name of each program to what runs it.
var components = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"kube-apiserver":          run(apiserver.NewAPIServerCommand),
	"kube-controller-manager": run(controllers.NewControllerManagerCommand),
	"kube-proxy":              run(proxy.NewProxyCommand),
	"kube-scheduler":          run(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubectl":                 run(kubectl.NewDefaultKubectlCommand),
	"kubelet":                 run(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
}

// run builds a command only once its name was chosen: several of them register
// global flags when they are made, which would clash in one process.
func run(command func() *cobra.Command) func() {
	return func() { os.Exit(cli.Run(command())) }
}

func usage(out io.Writer) {
	fmt.Fprintln(out, "usage: kube COMPONENT [ARGUMENT]…, or start it under the component's name")
	for _, name := range slices.Sorted(maps.Keys(components)) {
		fmt.Fprintln(out, "  "+name)
	}
}

func main() {
	name := filepath.Base(os.Args[0])
	if name == "kube" && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		name = os.Args[0]
	}
	start, known := components[name]
	if !known {
		usage(os.Stderr)
		os.Exit(2)
	}
	start()
}
