// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The worked example of docs/ton_iot.md from the CSV to accuracy by class, with the scripts and the product's own
// processes: on records made up here, and on real ones where the evaluation data is unpacked.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "tests/support/cluster.h"
#include "tests/support/process.h"
#include "tests/support/reference_data.h"

namespace shoji {
namespace {

using ::testing::AllOf;
using testing::Cluster;
using testing::ClusterOptions;
using testing::CommandResult;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using testing::RunCommand;

constexpr auto kPatience = std::chrono::minutes(8);

// Records as TON_IoT has them: a byte-order mark, CRLF, padded strings, runs of one class. Two of the classes differ in
// a number, the third in a switch; every tenth record is logged twice.
std::string MadeUpRecords() {
  std::mt19937 random(5);  // NOLINT(cert-msc51-cpp): the same records in every run
  std::normal_distribution<double> noise(0, 0.4);
  std::ostringstream csv;
  csv << "\xef\xbb\xbf"
      << "date,time,temperature,door,label,type\r\n";
  int second = 0;
  for (const std::string type : {"normal", "ddos", "normal", "password"}) {
    for (int i = 0; i < 400; ++i, ++second) {
      std::ostringstream line;
      line << "25-Apr-19, 14:" << second / 60 << ":" << second % 60 << " ," << (type == "ddos" ? 9 : 4) + noise(random)
           << "," << (type == "password" ? " true " : "0") << "," << (type == "normal" ? 0 : 1) << "," << type
           << "\r\n";
      csv << line.str() << (i % 10 == 0 ? line.str() : "");
    }
  }
  return csv.str();
}

class TonIotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (RunCommand({"/usr/bin/python3", "-c", "import numpy, onnx"}).exit_code != 0) {
      GTEST_SKIP() << "python3-numpy and python3-onnx are not installed";
    }
  }

  static CommandResult Script(const std::string& name, const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {"/usr/bin/python3", std::string(SHOJI_SOURCE_DIR) + "/tools/train/" + name};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return RunCommand(argv, kPatience);
  }
  CommandResult Images(const std::string& csv) const {
    return Script("ton_iot_images.py", {"--csv", csv, "--out", dir_.File("images")});
  }
  std::string Write(const std::string& name, const std::string& text) const {
    EXPECT_TRUE(WriteFileAtomically(dir_.File(name), AsBytes(text)).ok());
    return dir_.File(name);
  }

  void TrainAndCalibrate(const std::string& epochs) const {
    const CommandResult trained = Script(
        "train_ton_iot.py", {"--images", dir_.File("images"), "--out", dir_.File("ton_iot"), "--epochs", epochs});
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    const CommandResult calibrated = RunCommand(
        {testing::BinDir() + "/shoji-model", "calibrate", "--model", dir_.File("ton_iot.onnx"), "--images",
         dir_.File("images/train"), "--preprocessing", dir_.File("ton_iot.preprocessing.yaml"), "--limit", "200"},
        kPatience);
    ASSERT_EQ(calibrated.exit_code, 0) << calibrated.err;
  }

  // What `shoji infer` says of every test picture, with the model under `policy`.
  std::string Classify(const std::string& policy) const {
    ClusterOptions options;
    options.models = {{"ton_iot", dir_.File("ton_iot.onnx"), dir_.File("ton_iot.labels.txt"),
                       dir_.File("ton_iot.preprocessing.yaml"), testing::ReadyPolicy(policy)}};
    const auto cluster = Cluster::Start(options);
    EXPECT_TRUE(cluster.ok()) << cluster.status();
    if (!cluster.ok()) {
      return "";
    }
    std::vector<std::string> argv = {testing::BinDir() + "/shoji", "infer"};
    std::vector<std::string> pictures;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.File("images/test"))) {
      if (entry.path().extension() == ".png") {
        pictures.push_back(entry.path().string());
      }
    }
    std::sort(pictures.begin(), pictures.end());
    argv.insert(argv.end(), pictures.begin(), pictures.end());
    argv.insert(argv.end(), {"--server", (*cluster)->address(), "--plaintext", "--allow-simulated", "--simulated-key",
                             (*cluster)->signer_public_key_file(), "--deadline", "60s", "--output", "json"});
    const CommandResult classified = RunCommand(argv, kPatience);
    EXPECT_EQ(classified.exit_code, 0) << classified.err;
    return classified.out;
  }

  std::string Report(const std::string& answers) const {
    const CommandResult report = Script("class_report.py", {Write("answers", answers)});
    EXPECT_EQ(report.exit_code, 0) << report.err;
    return report.out;
  }

  const testing::TempDir dir_;
};

// The percentage that follows `before`.
double Percentage(const std::string& report, const std::string& before) {
  const size_t at = report.find(before);
  EXPECT_NE(at, std::string::npos) << report;
  return at == std::string::npos ? -1 : std::stod(report.substr(at + before.size()));
}

// Of the line "all  PICTURES  RIGHT  RECALL%".
double Accuracy(const std::string& report) {
  std::istringstream line(report.substr(report.find("\nall ") + 1));
  std::string name;
  double pictures = 0;
  double right = 0;
  line >> name >> pictures >> right;
  return 100 * right / pictures;
}

TEST_F(TonIotTest, MadeUpRecordsBecomePicturesAModelAndAccuracyByClass) {
  const CommandResult images = Images(Write("records.csv", MadeUpRecords()));
  ASSERT_EQ(images.exit_code, 0) << images.err;
  // The lines that stood there twice count once; date, time and label are no features.
  EXPECT_THAT(images.out, HasSubstr("1600 records, 2 features: temperature, door\n"));
  EXPECT_THAT(images.out, ContainsRegex("train: ddos [0-9]+, normal [0-9]+, password [0-9]+\n"));
  TrainAndCalibrate("4");

  const std::string report = Report(Classify("slalom"));
  for (const std::string name : {"ddos", "normal", "password"}) {
    EXPECT_THAT(report, HasSubstr("\n" + name));
  }
  EXPECT_GT(Accuracy(report), 90) << report;
  EXPECT_NEAR(Percentage(report, "always answering 'normal' would be right for "), 50, 10) << report;
  EXPECT_GT(Accuracy(Report(Classify("enclave-only"))), 90);
}

TEST_F(TonIotTest, RealRecordsAreToldApartBetterThanByTheirLargestClass) {
  const std::string csv = testing::ReferenceDataDir() + "/images/ton_iot/Train_Test_IoT_Modbus.csv";
  if (!testing::HasReferenceData() || !std::filesystem::exists(csv)) {
    GTEST_SKIP() << "../shared/data is not there";
  }
  const CommandResult images = Images(csv);
  ASSERT_EQ(images.exit_code, 0) << images.err;
  TrainAndCalibrate("1");
  const std::string report = Report(Classify("slalom"));
  EXPECT_GT(Accuracy(report), Percentage(report, "' would be right for ")) << report;
  EXPECT_THAT(report, AllOf(HasSubstr("injection"), HasSubstr("scanning")));
}

TEST_F(TonIotTest, BadRecordsAreRefusedWithTheirPlace) {
  const auto refused = [this](const std::string& csv, const std::string& says) {
    const CommandResult result = Images(Write("records.csv", csv));
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, HasSubstr(says));
    EXPECT_FALSE(std::filesystem::exists(dir_.File("images")));
  };
  refused("a,b\n1,2\n", "no column 'type'; there are: a, b");
  refused("a,type\n1,normal\n2\n", "records.csv:3: 1 fields instead of 2");
  refused("a,type\n", "no records");
  refused("date,type\n1,normal\n", "0 feature columns");
  refused("a,type\n1,normal\n2,normal\n", "too few records for windows of 16");
  const CommandResult missing = Images(dir_.File("none.csv"));
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("none.csv"));
}

TEST_F(TonIotTest, AReportOfSomethingElseIsRefused) {
  const CommandResult report = Script("class_report.py", {Write("answers", "accuracy is fine\n")});
  EXPECT_EQ(report.exit_code, 1);
  EXPECT_THAT(report.err, HasSubstr("line 1 is not an answer of `shoji infer --output json`"));
}

TEST_F(TonIotTest, AnErrorCountsAsWrongAndIsSaid) {
  const std::string report = Report(
      "{\"picture\": \"test/ddos/1.png\", \"top\": [{\"label\": \"ddos\"}]}\n"
      "{\"picture\": \"test/ddos/2.png\", \"error\": {\"code\": \"UNAVAILABLE\"}}\n"
      "{\"picture\": \"test/normal/1.png\", \"top\": [{\"label\": \"ddos\"}]}\n");
  EXPECT_THAT(report,
              AllOf(ContainsRegex("ddos +2 +1 +50.0% +50.0%\n"), ContainsRegex("normal +1 +0 +0.0% +-\n"),
                    HasSubstr("always answering 'ddos' would be right for 66.7%"), HasSubstr("1 pictures got")));
}

}  // namespace
}  // namespace shoji
