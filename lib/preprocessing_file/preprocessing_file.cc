// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/preprocessing_file/preprocessing_file.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/config/node.h"

namespace shoji::preprocessing_file {

absl::StatusOr<image::Preprocessing> LoadPreprocessing(const std::string& path) {
  ASSIGN_OR_RETURN(const config::Document document, config::Document::Load(path));
  ASSIGN_OR_RETURN(const config::Fields fields,
                   document.root().Map({"resize", "crop", "channels", "scale", "mean", "std", "layout"}));
  image::Preprocessing out;
  constexpr uint64_t kMaxSide = image::Preprocessing::kMaxSide;
  ASSIGN_OR_RETURN(const uint64_t resize, fields.Uint64("resize", 1, kMaxSide));
  ASSIGN_OR_RETURN(const uint64_t crop, fields.Uint64("crop", 1, kMaxSide));
  out.resize_shorter_side = static_cast<uint32_t>(resize);
  out.crop_width = out.crop_height = static_cast<uint32_t>(crop);
  static constexpr std::array<std::pair<std::string_view, image::Channels>, 3> kChannels = {
      {{"rgb", image::Channels::kRgb}, {"bgr", image::Channels::kBgr}, {"gray", image::Channels::kGray}}};
  static constexpr std::array<std::pair<std::string_view, image::Layout>, 2> kLayouts = {
      {{"nchw", image::Layout::kNchw}, {"nhwc", image::Layout::kNhwc}}};
  ASSIGN_OR_RETURN(out.channels, fields.Enum<image::Channels>("channels", kChannels));
  ASSIGN_OR_RETURN(out.layout, fields.Enum<image::Layout>("layout", kLayouts));
  ASSIGN_OR_RETURN(const double scale, fields.DoubleOr("scale", 1, -1e6, 1e6));
  out.scale = static_cast<float>(scale);
  for (const auto& [key, values] : {std::pair{"mean", &out.mean}, std::pair{"std", &out.std}}) {
    ASSIGN_OR_RETURN(const std::vector<config::Node> items, fields.List(key));
    for (const config::Node& item : items) {
      ASSIGN_OR_RETURN(const double value, item.Double(-1e6, 1e6));
      values->push_back(static_cast<float>(value));
    }
  }
  if (absl::Status valid = image::Validate(out); !valid.ok()) {
    return document.root().Annotate(valid);
  }
  return out;
}

}  // namespace shoji::preprocessing_file
