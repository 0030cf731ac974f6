// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/metrics/reload_counter.h"

namespace shoji::metrics {

ReloadCounter::ReloadCounter(prometheus::Family<prometheus::Counter>& family)
    : accepted_(family.Add({{"result", "accepted"}})), refused_(family.Add({{"result", "refused"}})) {}

ReloadCounter::ReloadCounter(Exporter& exporter, const std::string& process)
    : ReloadCounter(prometheus::BuildCounter()
                        .Name("shoji_" + process + "_reloads_total")
                        .Help("Reloads asked for by SIGHUP, by what became of them.")
                        .Register(exporter.registry())) {}

}  // namespace shoji::metrics
