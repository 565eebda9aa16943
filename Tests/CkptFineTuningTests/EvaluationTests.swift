import FineTuning
import Testing

struct EvaluationTests {
  // scikit-learn 1.7: y_true = [0, 0, 1, 1, 1], y_pred = [0, 1, 1, 1, 0]; a third class that nothing is of.
  let evaluation = Evaluation(
    classes: ["bird", "fruit", "sign"], loss: 0.5, top5: 1,
    predictions: zip([0, 0, 1, 1, 1], [0, 1, 1, 1, 0]).enumerated().map { number, pair in
      .init(
        path: "\(number).jpg", label: pair.0, predicted: pair.1, probability: 0.5,
        loss: Double(number))
    })

  @Test func `The confusion matrix has a row a true class`() {
    #expect(evaluation.confusion == [[1, 1, 0], [1, 2, 0], [0, 0, 0]])
    #expect(evaluation.top1 == 0.6)
  }

  @Test func `A class that nothing is of, or taken for, has neither precision nor recall`() {
    let figures = evaluation.classFigures
    #expect(figures.map(\.precision) == [0.5, 2.0 / 3, nil])
    #expect(figures.map(\.recall) == [0.5, 2.0 / 3, nil])
    #expect(figures.map(\.imageCount) == [2, 3, 0])
  }

  @Test func `The worst mistake comes first`() {
    #expect(evaluation.mistakes.map(\.path) == ["4.jpg", "1.jpg"])
  }
}
