// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/inventory"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localprovider"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/render"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/survey"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// reportOptions are the flags of report.
type reportOptions struct {
	asking
	output
	cluster *genericclioptions.ConfigFlags

	allNamespaces       bool
	gatekeeperNamespace string
	all                 bool
	fromStatus          bool
	fromLog             string
	fromExport          string
	staleAfter          time.Duration
	ownerLabels         []string

	readiness   bool
	constraints []string
	failOn      []string
	diff        string
	history     []string
	watch       bool
	interval    time.Duration

	outputFile string
	limit      int
	apply      bool
}

const reportHelp = `Say of every image that runs in a cluster, or would, whether Endor Labs vouches
for it, who signed it, where it runs, and what Gatekeeper makes of it.

Gatekeeper's audit keeps some twenty violations of each constraint and cuts them
off. This command reads the constraints and everything that runs images, and has
the policy judge all of it again, here, as Gatekeeper would. It writes nothing to
the cluster, unless --apply is given. Only the policy of this program is
evaluated: constraints of other templates are reported as far as Gatekeeper's
audit has said something of them (--all).

` + settingsHelp + `
None of it is needed with --from-status.

The status is 0 if the report is complete and every question was answered; 1 if
an image is of a class that --fail-on names, or, with --readiness, a workload
would fail; and 2 if something is missing from the report, or of some image it
could not be found out. It is written in each case.`

const reportExample = `  # everything, and then for a browser
  kubectl endor report
  kubectl endor report -o html --output-file report.html

  # may these constraints be set to deny?
  kubectl endor report --readiness signed-images-in-production

  # what changed since yesterday; a check for CI
  kubectl endor report -o json --output-file today.json --diff yesterday.json
  kubectl endor report --fail-on rejected -n payments

  # what Gatekeeper found, without asking Endor Labs
  kubectl endor report --from-status --from-log audit.log`

func reportCommand() *cobra.Command {
	o := reportOptions{cluster: genericclioptions.NewConfigFlags(true)}
	o.cluster.CacheDir = nil // nothing is cached
	cmd := &cobra.Command{
		Use:     "report [--readiness [CONSTRAINT...]]",
		Short:   "Say what runs in a cluster that Endor Labs cannot vouch for",
		Long:    reportHelp,
		Example: reportExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.constraints = args
			return o.run(cmd.Context(), cmd)
		},
	}
	fs := cmd.Flags()
	o.asking.bind(cmd)
	o.cluster.AddFlags(fs)
	fs.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "look at all namespaces; the default, unless -n names one")
	fs.StringVar(&o.gatekeeperNamespace, "gatekeeper-namespace", "gatekeeper-system", "`namespace` with Gatekeeper's Config object")
	fs.BoolVar(&o.all, "all", false, "report constraints of other templates too, as far as Gatekeeper's audit has said something of them")
	fs.BoolVar(&o.fromStatus, "from-status", false, "evaluate nothing and ask nobody: report what Gatekeeper's audit has found")
	fs.StringVar(&o.fromLog, "from-log", "", "`file` with the log of Gatekeeper's audit, - for standard input; it holds all violations")
	fs.StringVar(&o.fromExport, "from-export", "", "`folder` to which Gatekeeper's audit exports; it holds all violations, and since when")
	fs.DurationVar(&o.staleAfter, "stale-after", 10*time.Minute, "say that an audit is old from this age on; 0 for never")
	fs.StringSliceVar(&o.ownerLabels, "owner-labels", []string{"app.kubernetes.io/name", "app.kubernetes.io/part-of", "team", "owner"}, "`labels` of workloads or namespaces that say whose they are")
	fs.BoolVar(&o.readiness, "readiness", false, "say what would fail if the constraints denied today: those named, or all")
	fs.StringSliceVar(&o.failOn, "fail-on", nil, "end with status 1 if an image is of one of these `classes`: rejected, unavailable, misconfigured, unchecked")
	fs.StringVar(&o.diff, "diff", "", "`file` with an earlier report in JSON, to say what changed; if it is not there yet, that is said")
	fs.StringArrayVar(&o.history, "history", nil, "`file` with an earlier report in JSON, or folder of them, to show how numbers changed; may be repeated")
	fs.BoolVar(&o.watch, "watch-revocations", false, "ask again and again, and print only what changes, until interrupted")
	fs.DurationVar(&o.interval, "interval", 5*time.Minute, "how often --watch-revocations asks")
	o.output.bind(cmd, render.Formats()...)
	completes(cmd, "fail-on", []string{"rejected", "unavailable", "misconfigured", "unchecked"})
	fs.StringVar(&o.outputFile, "output-file", "", "`file` to write to instead of standard output; it is replaced as a whole, with mode 0600")
	fs.IntVar(&o.limit, "limit", 0, "most images that table, wide and markdown show, the worst first; 0 for all")
	fs.BoolVar(&o.apply, "apply", false, "write PolicyReports into the cluster too")
	for _, others := range [][]string{
		{"from-status", "readiness"}, {"from-status", "watch-revocations"}, {"from-status", "answers"}, {"from-status", "record"},
		{"watch-revocations", "answers"}, {"watch-revocations", "record"}, {"watch-revocations", "readiness"}, {"watch-revocations", "diff"},
		{"watch-revocations", "history"}, {"watch-revocations", "output-file"}, {"watch-revocations", "apply"}, {"watch-revocations", "from-log"},
		{"watch-revocations", "from-export"}, {"watch-revocations", "fail-on"}, {"all-namespaces", "namespace"},
	} {
		cmd.MarkFlagsMutuallyExclusive(others...)
	}
	return cmd
}

// validate says all that is wrong with the flags before anything is read.
func (o *reportOptions) validate() error {
	errs := []error{o.check()}
	if o.watch && o.format != "table" && o.format != "json" {
		errs = append(errs, fmt.Errorf("--output is %q; with --watch-revocations it is table or json", o.format))
	}
	for _, class := range o.failOn {
		if !slices.Contains(failClasses, verify.Class(class)) {
			errs = append(errs, fmt.Errorf("--fail-on: %q is no class; it is rejected, unavailable, misconfigured or unchecked", class))
		}
	}
	if len(o.constraints) > 0 && !o.readiness {
		errs = append(errs, fmt.Errorf("%q: constraints are named only with --readiness", o.constraints[0]))
	}
	if o.interval < time.Second {
		errs = append(errs, errors.New("--interval: it must be at least 1s"))
	}
	if o.staleAfter < 0 || o.limit < 0 {
		errs = append(errs, errors.New("--stale-after and --limit cannot be negative"))
	}
	return errors.Join(errs...)
}

var failClasses = []verify.Class{verify.ClassRejected, verify.ClassUnavailable, verify.ClassMisconfigured, report.Unchecked}

func (o *reportOptions) run(ctx context.Context, cmd *cobra.Command) error {
	if err := o.validate(); err != nil {
		return err
	}
	cfg, err := o.surveyConfig(ctx, cmd.InOrStdin())
	if err != nil {
		return err
	}
	if o.watch {
		return o.watchChanges(ctx, cmd, cfg)
	}
	// Before a survey that may take minutes: what is wrong with them is wrong now.
	earlier, err := o.earlierReports()
	if err != nil {
		return err
	}
	r, err := o.survey(ctx, cmd, cfg)
	if err != nil {
		return err
	}
	earlier.compare(r)
	if err := o.write(cmd.OutOrStdout(), r); err != nil {
		return resultError{err}
	}
	if o.apply {
		if err := applyPolicyReports(ctx, cfg.Cluster, r, cfg.Namespace, cmd.ErrOrStderr()); err != nil {
			return resultError{err}
		}
	}
	return o.verdict(r)
}

// surveyConfig is what a survey needs but for who judges.
func (o *reportOptions) surveyConfig(ctx context.Context, stdin io.Reader) (survey.Config, error) {
	rest, err := o.cluster.ToRESTConfig()
	if err != nil {
		return survey.Config{}, fmt.Errorf("find the cluster: %w", err)
	}
	rest.UserAgent = userAgent()
	cluster, err := inventory.New(rest)
	if err != nil {
		return survey.Config{}, err
	}
	cfg := survey.Config{
		Cluster: cluster, Name: o.contextName(), Generator: generator(),
		Namespace: *o.cluster.Namespace, GatekeeperNamespace: o.gatekeeperNamespace, AllConstraints: o.all,
		OwnerLabels: o.ownerLabels, StaleAfter: o.staleAfter, Readiness: o.readiness, Constraints: o.constraints,
	}
	cfg.Log, cfg.Export, err = o.audits(ctx, stdin)
	return cfg, err
}

// contextName is what people call the cluster: the context, or nothing within
// a Pod, which has none.
func (o *reportOptions) contextName() string {
	if name := *o.cluster.Context; name != "" {
		return name
	}
	raw, err := o.cluster.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return ""
	}
	return raw.CurrentContext
}

// survey makes a report with a provider and an engine of its own, so that every
// question is asked anew.
func (o *reportOptions) survey(ctx context.Context, cmd *cobra.Command, cfg survey.Config) (_ *report.Report, err error) {
	tally := newTally(cmd.ErrOrStderr())
	defer tally.end()
	cfg.Progress = tally.add
	if o.fromStatus {
		return surveyed(ctx, cfg)
	}
	s, err := o.open(ctx, cmd)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	e, err := s.provider.Engine(ctx, localprovider.Name)
	if err != nil {
		return nil, err
	}
	cfg.Evaluation = &survey.Evaluation{Engine: e, Provider: localprovider.Name, Answers: s.provider.ByImage}
	r, err := surveyed(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if o.answers != "" {
		r.Notices = append(r.Notices, report.Notice{Level: report.LevelWarning, Text: fmt.Sprintf(
			"Endor Labs was not asked: its answers are those that were recorded at %s", s.player.RecordedAt().UTC().Format(time.RFC3339))})
	}
	if ctx.Err() != nil {
		return r, nil
	}
	return r, s.save(ctx)
}

// surveyed makes a report. If there is none that is because of the cluster, of
// which no help tells.
func surveyed(ctx context.Context, cfg survey.Config) (*report.Report, error) {
	r, err := survey.Run(ctx, cfg)
	if err != nil {
		return nil, resultError{err}
	}
	return r, nil
}

// verdict is what the program's status says of a report.
func (o *reportOptions) verdict(r *report.Report) error {
	unknown := r.Totals().Unavailable + r.Totals().Misconfigured
	switch {
	case !r.Complete:
		return resultError{errors.New("the report is not complete; it says what is missing")}
	case r.Readiness != nil && slices.ContainsFunc(r.Readiness.Namespaces, func(n report.NamespaceReady) bool { return len(n.Failing) > 0 }):
		return errRefused
	case slices.ContainsFunc(r.Images, func(i report.Image) bool { return slices.Contains(o.failOn, string(i.Class)) }):
		return errRefused
	case unknown > 0:
		return resultError{fmt.Errorf("it could not be found out of %s whether Endor Labs vouches for it; the report says why", printable.Count(unknown, "image"))}
	default:
		return nil
	}
}
