// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/go-analyze/charts"
)

const (
	width, height = 1000, 820

	// aimMiB is the most that 100,000 verdicts should take.
	aimMiB = 100
)

// draw makes the plot. Its background is white, so that it can be read on any.
func draw(m *measures) ([]byte, error) {
	p := charts.NewPainter(charts.PainterOptions{
		OutputFormat: charts.ChartOutputSVG, Width: width, Height: height, Theme: charts.GetTheme(charts.ThemeLight),
	})
	p.FilledRect(0, 0, width, height, charts.ColorWhite, charts.ColorWhite, 0)
	panels, err := p.LayoutByGrid(2, 2).CellAt("warm", 0, 0).CellAt("hang", 1, 0).CellAt("memory", 0, 1).Span(2, 1).Build()
	if err != nil {
		return nil, err
	}
	for _, b := range []bars{
		{
			panel: "warm", title: "Warm request of 4 images", quantiles: []string{"p50", "p90", "p99"},
			sides: []barSide{
				{"no-work handler", "Warm", "nowork"}, {"provider", "Warm", "provider"}, {"provider, by Redis", "RedisWarm", "provider"},
			},
		},
		{
			panel: "hang", title: "1,000 requests at once, Endor Labs hangs", quantiles: []string{"p50", "p99", "max"},
			sides: []barSide{
				{"no-work handler", "Hang", "nowork"}, {"provider, degraded", "Hang", "degraded"}, {"provider, at first", "Hang", "hung"},
			},
		},
	} {
		if err := b.draw(panels[b.panel], m); err != nil {
			return nil, err
		}
	}
	if err := drawMemory(panels["memory"], m); err != nil {
		return nil, err
	}
	return p.Bytes()
}

// bars compares how long requests took.
type bars struct {
	panel     string
	title     string
	quantiles []string
	sides     []barSide
}

type barSide struct{ label, benchmark, who string }

func (b bars) draw(p *charts.Painter, m *measures) error {
	var names []string
	var values [][]float64
	for _, side := range b.sides {
		heights := make([]float64, len(b.quantiles))
		for i, q := range b.quantiles {
			v, ok := m.get(side.benchmark, side.who+"-"+q+"-ms")
			if !ok {
				heights = nil
				break
			}
			heights[i] = v
		}
		if heights != nil {
			names, values = append(names, side.label), append(values, heights)
		}
	}
	opt := charts.NewBarChartOptionWithData(values)
	opt.Padding = charts.NewBoxEqual(18)
	opt.Title.Text = b.title
	opt.Legend = charts.LegendOption{SeriesNames: names, Offset: charts.OffsetStr{Top: "28", Left: charts.PositionLeft}}
	opt.CategoryAxis.Labels = b.quantiles
	opt.ValueAxis = []charts.ValueAxisOption{{Title: "milliseconds", Min: charts.Ptr(0.0)}}
	opt.ValueFormatter = number
	for i := range opt.SeriesList {
		opt.SeriesList[i].Label = charts.SeriesLabel{Show: charts.Ptr(true), ValueFormatter: number}
	}
	return p.BarChart(opt)
}

func drawMemory(p *charts.Painter, m *measures) error {
	var labels []string
	var resident, aim []float64
	for _, n := range imageCounts {
		v, ok := m.get(memory(n), "rss-MiB")
		if !ok {
			continue
		}
		labels = append(labels, fmt.Sprintf("%s images", thousands(float64(n))))
		resident, aim = append(resident, v), append(aim, aimMiB)
	}
	opt := charts.NewLineChartOptionWithData([][]float64{resident, aim})
	opt.Padding = charts.NewBoxEqual(18)
	opt.Title.Text = "Resident memory of the provider (cache of 100,000 verdicts)"
	opt.Legend = charts.LegendOption{
		SeriesNames: []string{"resident memory", fmt.Sprintf("aim for 100,000: %d MiB", aimMiB)},
		Offset:      charts.OffsetStr{Top: "28", Left: charts.PositionLeft},
	}
	opt.XAxis.Labels = labels
	opt.XAxis.Title = "distinct images that a fresh process was asked about"
	opt.YAxis = []charts.YAxisOption{{Title: "MiB", Min: charts.Ptr(0.0), ValueFormatter: number}}
	opt.SeriesList[0].Label = charts.SeriesLabel{Show: charts.Ptr(true), ValueFormatter: number}
	return p.LineChart(opt)
}
