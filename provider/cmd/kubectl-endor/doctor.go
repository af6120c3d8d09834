// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/apianswer"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/cluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/config"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/doctor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/findings"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/upstream"
)

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	cluster *genericclioptions.ConfigFlags
	look    doctor.Config

	endor      config.Endor
	endorFlags *pflag.FlagSet

	output
	strict bool
}

func doctorCommand() *cobra.Command {
	o := &doctorOptions{
		cluster:    genericclioptions.NewConfigFlags(true),
		endorFlags: pflag.NewFlagSet("endor", pflag.ContinueOnError),
	}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with an installation, and how to mend it",
		Long: `Look at Gatekeeper, the provider, the policy and the constraints of a cluster,
and at the credentials of Endor Labs that are set here, and say what is wrong and
how to mend it. docs/doctor.md explains every check.

Nothing is changed. To see whether an unsigned image is refused, the API server
is asked to admit a Pod as a dry run (dryRun=All); --no-probe leaves that out.

What could not be looked at is said, with the permission that is missing, and is
never shown as in order. Credentials of Endor Labs are those of ENDOR_* variables
or of ~/.endorctl/config.yaml; without any the checks of Endor Labs are skipped.

The status is 0 if there is nothing worse than a warning, 1 if there is an error
(or, with --strict, a warning), and 2 if something could not be checked.`,
		Example: `  kubectl endor doctor
  kubectl endor doctor --context production --no-probe -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	fs := cmd.Flags()
	o.cluster.Namespace = nil // every namespace is looked at
	o.cluster.CacheDir = nil  // nothing is cached
	o.cluster.AddFlags(fs)
	o.bind(cmd, "table", "json", "yaml")
	fs.BoolVar(&o.strict, "strict", false, "end with status 1 for warnings too")
	fs.BoolVar(&o.look.NoProbe, "no-probe", false, "do not try, as a dry run, whether an unsigned image is refused")
	fs.StringVar(&o.look.GatekeeperNamespace, "gatekeeper-namespace", "gatekeeper-system", "`namespace` of Gatekeeper")
	fs.StringVar(&o.look.ProviderName, "provider-name", cluster.DefaultProvider, "`name` of the Provider object")
	fs.StringVar(&o.look.ReleaseNamespace, "release-namespace", "", "`namespace` of the provider; default: that of the Provider's URL")
	o.endor.Bind(o.endorFlags)
	for _, name := range []string{"endor-api", "endor-ca-file", "endor-namespace", "endor-api-key-file", "endor-api-secret-file"} {
		fs.AddFlag(o.endorFlags.Lookup(name))
	}
	return cmd
}

func (o *doctorOptions) run(ctx context.Context, stdout io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	cfg, err := o.cluster.ToRESTConfig()
	if err != nil {
		return err
	}
	if err := o.connect(cfg); err != nil {
		return err
	}
	// Without the API server every check would say the same.
	if _, err := o.look.Clock(ctx); err != nil {
		return resultError{fmt.Errorf("the API server %s cannot be reached: %w", cfg.Host, err)}
	}
	o.askEndor()
	report := doctor.Run(ctx, o.look)
	if err := o.write(stdout, report); err != nil {
		return resultError{err}
	}
	return o.verdict(report)
}

// connect prepares for a cluster without calling it.
func (o *doctorOptions) connect(cfg *rest.Config) error {
	cfg.UserAgent = userAgent()
	// A person waits for some dozens of reads.
	cfg.QPS, cfg.Burst = 50, 100
	cfg.WarningHandler = rest.NoWarnings{}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	apianswer.Bound(cfg)
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return err
	}
	if o.look.Client, err = dynamic.NewForConfigAndClient(cfg, client); err != nil {
		return err
	}
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return err
	}
	o.look.Server = base.String()
	o.look.Clock = func(ctx context.Context) (time.Time, error) {
		return dateOf(ctx, client, base.JoinPath("version").String())
	}
	return nil
}

// askEndor prepares to ask Endor Labs, if there are credentials. What is wrong
// with them is a finding, and no reason not to look at the cluster.
func (o *doctorOptions) askEndor() {
	if err := complete(&o.endor, o.endorFlags); err != nil {
		o.look.EndorError = err
		return
	}
	e := o.endor
	if e.EndorAPIKeyFile+e.EndorAPISecretFile+e.EndorAPIKey+e.EndorAPISecret+e.EndorToken == "" {
		return
	}
	client, err := upstream.NewClient(e, endor.Config{Timeout: 10 * time.Second, UserAgent: userAgent()})
	if err != nil {
		o.look.EndorError = err
		return
	}
	o.look.Endor, o.look.EndorNamespace = client, e.EndorNamespace
}

// dateOf is when a server says that it answers.
func dateOf(ctx context.Context, client *http.Client, url string) (time.Time, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return time.Time{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return time.Time{}, err
	}
	defer resp.Body.Close()
	return http.ParseTime(resp.Header.Get("Date"))
}

// verdict is what the program's status says of a report. An error that is known
// counts for more than a check that could not be made.
func (o *doctorOptions) verdict(r doctor.Report) error {
	switch {
	case r.Interrupted:
		return resultError{errors.New("interrupted before everything was checked")}
	case r.Summary[doctor.Error] > 0, o.strict && r.Summary[doctor.Warning] > 0:
		return errRefused
	case r.Summary[doctor.Unknown] > 0:
		return resultError{errors.New("not everything could be checked; see above")}
	}
	return nil
}

func (o *doctorOptions) write(w io.Writer, r doctor.Report) error {
	switch o.format {
	case "json":
		return findings.JSON(w, r)
	case "yaml":
		return findings.YAML(w, r)
	default:
		return r.Write(w, styleOf(w))
	}
}

// styleOf is how a person reads what is written there: as wide as the terminal
// but no wider than can be read, and in color unless somebody asked for none.
func styleOf(w io.Writer) doctor.Style {
	const pipe, widest = 100, 120
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return doctor.Style{Width: pipe}
	}
	style := doctor.Style{Width: pipe, Color: os.Getenv("NO_COLOR") == ""}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
		style.Width = min(width, widest)
	}
	return style
}
