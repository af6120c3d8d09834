// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// bar is a rectangle of an SVG in the color of a class.
type bar struct {
	Class               string
	X, Y, Width, Height float64
	Title               string
}

// stack divides a width among the classes, the worst at the left.
func stack(t report.Totals, width, height float64) []bar {
	var bars []bar
	x := 0.0
	for _, class := range classes {
		n := ofClass(t, class)
		if n == 0 {
			continue
		}
		w := round(width * float64(n) / float64(inAll(t)))
		bars = append(bars, bar{Class: string(class), X: x, Width: w, Height: height, Title: strconv.Itoa(n) + " " + string(class)})
		x += w
	}
	return bars
}

// inAll is how many images are of any class.
func inAll(t report.Totals) int {
	n := 0
	for _, class := range classes {
		n += ofClass(t, class)
	}
	return n
}

type classCount struct {
	Class string
	Count int
}

func classCounts(t report.Totals) []classCount {
	var counts []classCount
	for _, class := range classes {
		counts = append(counts, classCount{string(class), ofClass(t, class)})
	}
	return counts
}

// namespaceBar is one namespace of a chart. Its bars are as long as it has
// images, of those of the largest.
type namespaceBar struct {
	Name, Label, Count string
	Bars               []bar
}

func namespaceBars(list []report.Namespace) (bars []namespaceBar, left string) {
	most := 1
	for _, n := range list {
		most = max(most, inAll(totalsOf(n)))
	}
	for _, n := range first(list, maxBars) {
		t := totalsOf(n)
		images := inAll(t)
		bars = append(bars, namespaceBar{
			Name: printable.Visible(n.Name), Label: breakdown(t), Count: strconv.Itoa(images),
			Bars: stack(t, 1000*float64(images)/float64(most), 10),
		})
	}
	return bars, more(len(list), maxBars, "namespace")
}

func totalsOf(n report.Namespace) report.Totals {
	return report.Totals{
		Verified: n.Verified, Rejected: n.Rejected, Unavailable: n.Unavailable, Misconfigured: n.Misconfigured, Unchecked: n.Unchecked,
	}
}

// history is a chart of earlier reports and this one, a column each.
type history struct {
	Label               string
	Width, Height, Left float64
	TextX, Foot         float64
	From, To            string
	Lines               []line
	Bars                []bar
	grid2
}

// line is one of the chart's scale.
type line struct {
	Y, TextY float64
	Text     string
}

const (
	chartWidth, chartHeight = 560.0, 240.0
	chartLeft, chartTop     = 34.0, 10.0
	chartBase               = chartHeight - 30
	maxColumns              = 60
)

func newHistory(r *report.Report) *history {
	if len(r.History) == 0 {
		return nil
	}
	points := append(slices.Clone(r.History), report.Point{At: r.GeneratedAt, Totals: r.Totals()})
	points = points[max(0, len(points)-maxColumns):]
	most := 1
	for _, p := range points {
		most = max(most, inAll(p.Totals))
	}
	h := &history{
		Width: chartWidth, Height: chartHeight, Left: chartLeft, TextX: chartLeft - 8, Foot: chartHeight - 8,
		From: day(points[0].At), To: day(points[len(points)-1].At), grid2: *newGrid(historyGrid(points)),
	}
	h.Label = fmt.Sprintf("Images by verdict in %d reports. First: %s. Last: %s.", len(points), breakdown(points[0].Totals), breakdown(points[len(points)-1].Totals))
	step := tick(most)
	for n := 0; n <= most; n += step {
		y := round(chartBase - (chartBase-chartTop)*float64(n)/float64(most))
		h.Lines = append(h.Lines, line{Y: y, TextY: y + 4, Text: strconv.Itoa(n)})
	}
	slot := (chartWidth - chartLeft) / float64(len(points))
	for i, p := range points {
		y := chartTop + (chartBase-chartTop)*(1-float64(inAll(p.Totals))/float64(most))
		for _, class := range slices.Backward(classes) { // the worst stand on the ground
			n := ofClass(p.Totals, class)
			if n == 0 {
				continue
			}
			height := (chartBase - chartTop) * float64(n) / float64(most)
			h.Bars = append(h.Bars, bar{
				Class: string(class), X: round(chartLeft + slot*(float64(i)+.12)), Y: round(y), Width: round(slot * .76), Height: round(height),
				Title: day(p.At) + ": " + strconv.Itoa(n) + " " + string(class),
			})
			y += height
		}
	}
	return h
}

// tick gives a round distance of which at most five fit.
func tick(most int) int {
	for step := 1; ; step *= 10 {
		for _, k := range []int{1, 2, 5} {
			if most/(step*k) <= 5 {
				return step * k
			}
		}
	}
}

func round(x float64) float64 { return float64(int(x*100+.5)) / 100 }

func day(t time.Time) string { return t.UTC().Format("2 Jan 2006") }
